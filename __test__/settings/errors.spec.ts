// Compares the messages for invalid settings with the files below __test__/golden/config-errors.
import { readdirSync, readFileSync } from 'node:fs'

import test from 'ava'

import { ERRORS, MonocerosError } from '../../ts/errors.ts'
import { requireApplication, resolveConfig } from '../../ts/settings/config.ts'
import { directoryWith } from './directory.ts'
import { matchesGolden } from './golden.ts'

interface Case {
  readonly argv?: readonly string[]
  readonly env?: Record<string, string>
  readonly files?: Record<string, string>
}

const file = (text: string): Case => ({ files: { 'monoceros.config.mjs': text } })
const flags = (...argv: string[]): Case => ({ argv })

const CASES: Record<string, Case> = {
  'flag-unknown': flags('--certainly'),
  'flag-unknown-near': flags('--worker', '4'),
  'flag-unknown-swapped': flags('--bnid=:1'),
  'flag-unknown-short': flags('-z'),
  'flag-without-value': flags('app.js', '--workers'),
  'flag-switch-with-value': flags('--reuse-port=yes'),
  'two-applications': flags('app.js', 'other.js'),
  'no-application': {},
  'integer-word': flags('-w', 'many'),
  'integer-fraction': flags('--backlog', '1.5'),
  'integer-negative': flags('--max-requests', '-1'),
  'integer-too-large': flags('-w', '100000'),
  'integer-empty': flags('--backlog', ''),
  'seconds-word': flags('--timeout', 'soon'),
  'seconds-unit': flags('--keep-alive', '5s'),
  'seconds-too-few': flags('--boot-timeout', '0'),
  'seconds-too-many': flags('--graceful-timeout', '9999999999'),
  'bytes-word': flags('--limit-request-body', 'lots'),
  'choice-near': flags('--log-level', 'warn'),
  'choice-far': flags('--engine', 'steam'),
  'http2-upgrade': flags('--http2-cleartext', 'upgrade'),
  'text-empty': flags('--error-logfile', ''),
  'worker-class-near': flags('-k', 'fecth'),
  'worker-class-far': flags('-k', 'meinheld'),
  'bind-none': file('export default { bind: [] }'),
  'bind-unix-nul': file(String.raw`export default { bind: 'unix:a\0b' }`),
  'bind-port': flags('-b', 'localhost:http'),
  'bind-port-large': flags('-b', ':65536'),
  'bind-bare-port': flags('-b', '8000'),
  'bind-bare-ipv6': flags('-b', '::1:8000'),
  'bind-scheme': flags('-b', 'ftp://localhost:8000'),
  'bind-unix-empty': flags('-b', 'unix:'),
  'bind-fd': flags('-b', 'fd://stdin'),
  'bind-second': flags('-b', ':8000', '-b', ':x'),
  'extra-file': flags('--reload', '--reload-extra-file', 'nowhere.txt'),
  'inspect-port': flags('--inspect=99999'),
  'access-format': flags('--access-logformat', '%(h)s %x'),
  'env-entry': flags('-e', 'NAME'),
  'chdir-missing': flags('--chdir', 'nowhere'),
  'chdir-file': { argv: ['--chdir', 'a.txt'], files: { 'a.txt': '' } },
  'chdir-nul': file(String.raw`export default { chdir: 'a\0b' }`),
  'later-flag': flags('--dirty-threads', '2'),
  'later-switch': flags('--dirty-app', 'a:B'),
  'later-short': flags('--dirty-workers', '3'),
  'later-variable': { env: { MONOCEROS_DIRTY_TIMEOUT: '1' } },
  'later-file': file('export const dirty_workers = 3'),
  'later-hook': file('export default { on_dirty_starting() {} }'),
  'refused-flag': flags('--paste', 'app.ini'),
  'refused-file': file('export const pythonpath = "lib"'),
  'log-config-missing': flags('--log-config-json', 'log.json'),
  'log-config-ini': { argv: ['--log-config', 'log.ini'], files: { 'log.ini': '[loggers]' } },
  'log-config-python': file('export default { logconfig_dict: { version: 1, handlers: {} } }'),
  'log-config-name': file('export default { logconfig_dict: { logevel: "info" } }'),
  'log-config-value': file('export default { logconfig_dict: { loglevel: "loud" } }'),
  'syslog-address': flags('--log-syslog-to', 'localhost'),
  'syslog-facility': flags('--log-syslog-facility', 'local8'),
  'statsd-address': flags('--statsd-host', 'http://localhost'),
  'variable-unknown': { env: { MONOCEROS_WORKRES: '3' } },
  'variable-unknown-far': { env: { MONOCEROS_COLOUR: 'red' } },
  'variable-value': { env: { MONOCEROS_WORKERS: 'x' } },
  'variable-switch': { env: { MONOCEROS_REUSE_PORT: 'maybe' } },
  'variable-port': { env: { PORT: 'http' } },
  'variable-web-concurrency': { env: { WEB_CONCURRENCY: 'all' } },
  'variable-print-config': { env: { MONOCEROS_PRINT_CONFIG: '1' } },
  'cmd-args-quote': { env: { MONOCEROS_CMD_ARGS: "-n 'my app" } },
  'cmd-args-value': { env: { MONOCEROS_CMD_ARGS: '--workers many' } },
  'cmd-args-unknown': { env: { MONOCEROS_CMD_ARGS: '--wrokers 4' } },
  'file-missing': flags('-c', 'nope.js'),
  'file-module-missing': flags('-c', 'module:nope'),
  'file-python': flags('-c', 'python:settings'),
  'file-extension': { argv: ['-c', 'gunicorn.conf.py'], files: { 'gunicorn.conf.py': '' } },
  'file-throws': file('\nthrow new TypeError("no such luck")'),
  'file-throws-text': file('throw "no"'),
  'file-reference': file('export default {\n  workers: cpus,\n}'),
  'file-json': { files: { 'monoceros.config.json': '{\n  "workers": 3,\n}' } },
  'file-shape-array': file('export default []'),
  'file-shape-function': file('export default () => ({})'),
  'file-unknown': file('export default { colour: "red" }'),
  'file-unknown-near': file('export default { worker_conections: 3 }'),
  'file-value': file('export default { workers: -1 }'),
  'file-value-type': file('export default { bind: 8000 }'),
  'file-value-item': file('export default { bind: [":1", 2] }'),
  'file-value-nan': file('export default { workers: Number.NaN }'),
  'file-value-infinity': file('export default { timeout: Infinity }'),
  'file-value-bigint': file('export default { timeout: 10n }'),
  'file-value-object': file('export default { timeout: { get a() { return 10n } } }'),
  'file-value-nul': file(String.raw`export default { proc_name: 'a\0b' }`),
  'file-value-list-nul': file(String.raw`export default { reload_extra_files: ['a\0b'] }`),
  'file-getter': file('export default {\n  get workers() { throw new Error("no luck") }\n}'),
  'file-value-function': file('export default { timeout: () => 3 }'),
  'file-config': file('export default { config: "x.js" }'),
  'file-check-config': file('export default { check_config: true }'),
}

for (const [name, { argv = [], env = {}, files = {} }] of Object.entries(CASES)) {
  test(`invalid settings are rejected with the golden message: ${name}`, async (t) => {
    const cwd = directoryWith(t, files)
    const error = await t.throwsAsync(
      async () => requireApplication(await resolveConfig({ argv, env, cwd })),
      { instanceOf: MonocerosError },
    )
    const { code, exit, message } = error as MonocerosError
    // Removes the parts that depend on the version of Node.
    const stable = message
      .replaceAll(cwd, '<directory>')
      .replace(/ \(line 3 column 1\)(?= \(line)/, '')
    matchesGolden(t, `config-errors/${name}.txt`, `${code}, exit ${exit}\n${stable}\n`)
  })
}

test('every error code about settings has a test case', (t) => {
  const folder = new URL('../golden/config-errors/', import.meta.url)
  const seen = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'))
  const codes = Object.keys(ERRORS).filter((code) =>
    /^ERR_(FLAG|SETTING|ENVIRONMENT|CMD_ARGS|CONFIG_FILE|CHDIR)/.test(code),
  )
  t.deepEqual(
    codes.filter((code) => !seen.some((text) => text.startsWith(`${code},`))),
    [],
  )
})

test('every file in golden/config-errors belongs to a test case', (t) => {
  const folder = new URL('../golden/config-errors/', import.meta.url)
  t.deepEqual(
    readdirSync(folder).sort(),
    Object.keys(CASES)
      .map((name) => `${name}.txt`)
      .sort(),
  )
})
