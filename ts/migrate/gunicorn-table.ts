/**
 * The table of Gunicorn's settings whose values are not the same here. All others have the same
 * name and meaning, or a row of the settings table has the reason why they have none.
 * `npm run gen` writes the table of docs/migrate.md from it.
 */
import { HOOKS } from '../hooks/table.ts'

export interface GunicornRow {
  readonly name: string
  /** What changes, or why there is no equivalent. Complete sentences. */
  readonly doc: string
  /** Returns the value of the setting here; without this function there is none. */
  readonly convert?: (value: unknown) => unknown
  /** Returns the value for an expression that is not a literal, if its meaning is known. */
  readonly convertExpression?: (text: string) => unknown
}

const PYTHON_LOGGING =
  "It configures Python's logging. docs/logging.md has the settings of the logs."

export const GUNICORN_ROWS: readonly GunicornRow[] = [
  {
    name: 'wsgi_app',
    doc: 'It names a Python application. Set app to the file of the Node.js application.',
  },
  {
    name: 'workers',
    doc:
      'An expression with cpu_count() becomes "auto": a worker of Node.js serves any number of ' +
      'requests at a time, so one worker per processor is enough.',
    convert: (value) => value,
    convertExpression: (text) => (/\bcpu_count\s*\(/.test(text) ? 'auto' : undefined),
  },
  {
    name: 'worker_class',
    doc: 'Every worker serves requests concurrently, so there is nothing to choose.',
  },
  {
    name: 'umask',
    doc: 'It applies to the files of unix sockets alone.',
    convert: (value) => value,
  },
  {
    name: 'user',
    doc: 'A number becomes a text.',
    convert: (value) => String(value),
  },
  {
    name: 'group',
    doc: 'A number becomes a text.',
    convert: (value) => String(value),
  },
  {
    name: 'proxy_protocol',
    doc: 'True becomes "auto", which accepts both versions, and False becomes "off".',
    convert: (value) => (value === true ? 'auto' : value === false ? 'off' : value),
  },
  {
    name: 'worker_tmp_dir',
    doc: 'The heartbeat of the workers is in shared memory and has no file.',
  },
  { name: 'logger_class', doc: PYTHON_LOGGING },
  { name: 'logconfig', doc: PYTHON_LOGGING },
  { name: 'logconfig_dict', doc: PYTHON_LOGGING },
  { name: 'logconfig_json', doc: PYTHON_LOGGING },
  {
    name: 'config',
    doc: 'Name the new file with --config, or call it monoceros.config.ts.',
  },
]

const HOOK_DOC =
  'A hook is a function of JavaScript in the config file, with the same name: docs/hooks.md.'

/** Finds the row of a setting. Hooks share one. */
export function findGunicornRow(name: string): GunicornRow | undefined {
  if (Object.hasOwn(HOOKS, name)) return { name, doc: HOOK_DOC }
  return GUNICORN_ROWS.find((row) => row.name === name)
}
