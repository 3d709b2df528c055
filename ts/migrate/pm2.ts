/** Reads an ecosystem file of pm2 and translates its applications by `PM2_ROWS`. */

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, extname, resolve } from 'node:path'

import { MonocerosError, monocerosError } from '../errors.ts'
import { describeLoadError, loadFreshModule, loadJson } from '../settings/load.ts'
import type { RowName } from '../settings/names.ts'
import { type Draft, exampleOf, type Part, settingPart, shownSource } from './draft.ts'
import { withExpressions } from './environment-expressions.ts'
import { findPm2Row, PM2_ROWS, type Pm2App } from './pm2-table.ts'

/** The packages that read YAML, in the order of the search. */
const YAML_PACKAGES = ['yaml', 'js-yaml']
const RUN_SCRIPT = /^(?:npm|pnpm|yarn)$/
/** A script of package.json that only runs node: `node server.js`. */
const NODE_COMMAND = /^node\s+([^\s&|;<>-]\S*\.[cm]?[jt]s)$/

export interface Pm2File {
  readonly apps: readonly Pm2App[]
  /** The file has the section `deploy`. */
  readonly hasDeploy: boolean
}

const LOADERS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  '.js': (path) => withExpressions(() => loadFreshModule(path)),
  '.cjs': (path) => withExpressions(() => loadFreshModule(path)),
  '.mjs': (path) => withExpressions(() => loadFreshModule(path)),
  '.json': loadJson,
  '.yaml': loadYaml,
  '.yml': loadYaml,
}

/** The extensions of ecosystem files. */
export const PM2_EXTENSIONS: readonly string[] = Object.keys(LOADERS)

/** Loads an ecosystem file. */
export async function loadPm2File(path: string): Promise<Pm2File> {
  const load = LOADERS[extname(path)]
  const loaded = await load?.(path).catch(async (error: unknown) => {
    if (error instanceof MonocerosError) throw error
    const problem = await describeLoadError(error, path)
    throw monocerosError('ERR_MIGRATE_BROKEN', path, problem).withCause(error)
  })
  return readFileShape(unwrapDefault(loaded), path)
}

/** Returns the name of an application as pm2 shows it. */
export function nameOfApp(app: Pm2App): string {
  if (typeof app.name === 'string') return app.name
  const script = app.script ?? app.exec
  return typeof script === 'string' ? basename(script, extname(script)) : 'app'
}

/** Translates one application. `environment` is the NAME of the `env_NAME` to use. */
export function translateApp(
  app: Pm2App,
  {
    path,
    environment,
    hasDeploy,
  }: { path: string; environment: string | undefined; hasDeploy: boolean },
): Draft {
  const merged = mergeEnvironments(app, { path, environment })
  const known = PM2_ROWS.flatMap(({ names }) =>
    Object.keys(merged).filter((name) =>
      names.includes(name.startsWith('env_') ? 'env_NAME' : name),
    ),
  )
  const unknown = Object.keys(merged).filter((name) => findPm2Row(name) === undefined)
  const parts = known.flatMap((name) => translateOption(name, merged, path))
  const hasAddress = parts.some((part) => 'setting' in part && part.setting === 'bind')
  return {
    title: `Written by monoceros migrate from ${basename(path)}, application "${nameOfApp(app)}".`,
    parts: [
      ...parts,
      ...unknown.map((name) => ({
        comment: `${shownSource(name, app[name])} It is no option of pm2.`,
      })),
      ...(hasAddress ? [] : [{ comment: ADDRESS_COMMENT }]),
      ...(hasDeploy ? [{ comment: DEPLOY_COMMENT }] : []),
    ],
  }
}

const ADDRESS_COMMENT =
  'bind: the default is PORT of the environment, else 127.0.0.1:8000. The port that the ' +
  "application passes to listen() is not used. For every interface: bind: '0.0.0.0:3000'."

const DEPLOY_COMMENT =
  'deploy: Monoceros copies no code to other machines. After a deployment, run ' +
  '"monoceros ctl reload" there.'

function translateOption(name: string, app: Pm2App, path: string): Part[] {
  const value = name === 'env' ? app.env : exampleOf(app[name])
  const row = findPm2Row(name)
  if (row === undefined || asksForNothing(value, row.isOnByDefault)) return []
  if (name === 'script' || name === 'exec') {
    const script = findNpmScript(app, path)
    if (script !== undefined) return [{ setting: 'app', value: script }]
  }
  const converted = row.convert?.(value, app)
  if (converted === undefined) {
    const doc = name.startsWith('env_') ? row.doc.replace('NAME', name.slice(4)) : row.doc
    return [{ comment: `${shownSource(name, value)} ${doc}` }]
  }
  const comment = row.isRemarked ? row.doc : undefined
  return Object.entries(converted).flatMap(([setting, one], index) => {
    const options = { origin: name, comment: index === 0 ? comment : undefined }
    return settingPart(setting as RowName, one, options) ?? []
  })
}

function asksForNothing(value: unknown, isOnByDefault = false): boolean {
  if (value === undefined || value === null) return true
  return value === isOnByDefault
}

// `script: 'npm', args: 'run start'` runs a command of package.json.
function findNpmScript(app: Pm2App, path: string): string | undefined {
  const { script, args, cwd } = app
  if (typeof script !== 'string' || !RUN_SCRIPT.test(script)) return undefined
  const [first, second] = Array.isArray(args) ? args : String(args ?? '').split(/\s+/)
  const name = first === 'run' ? second : first
  const manifest = resolve(dirname(path), typeof cwd === 'string' ? cwd : '.', 'package.json')
  if (!existsSync(manifest)) return undefined
  const command = /^$/.test(String(name)) ? undefined : readScript(manifest, String(name))
  return NODE_COMMAND.exec(command ?? '')?.[1]
}

function readScript(manifest: string, name: string): string | undefined {
  try {
    const { scripts } = JSON.parse(readFileSync(manifest, 'utf8'))
    return typeof scripts?.[name] === 'string' ? scripts[name] : undefined
  } catch {
    // A broken package.json has no script; the new file has a comment instead.
    return undefined
  }
}

function mergeEnvironments(
  app: Pm2App,
  { path, environment }: { path: string; environment: string | undefined },
): Pm2App {
  const { env, port, ...others } = app
  const chosen = environment === undefined ? undefined : app[`env_${environment}`]
  if (environment !== undefined && chosen === undefined) {
    throw monocerosError('ERR_MIGRATE_ENV', path, nameOfApp(app), environment)
  }
  const rest = Object.fromEntries(
    Object.entries(others).filter(([name]) => name !== `env_${environment}`),
  )
  const shortcut = port === undefined ? {} : { PORT: port }
  const variables = { ...objectOf(env), ...objectOf(chosen), ...shortcut }
  return Object.keys(variables).length === 0 ? rest : { ...rest, env: variables }
}

function objectOf(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {}
}

function readFileShape(loaded: unknown, path: string): Pm2File {
  const file = isObject(loaded) ? loaded : {}
  // pm2 also accepts a list of applications, and one application without a list.
  const listed = Array.isArray(loaded) ? loaded : (file.apps ?? file.pm2 ?? loaded)
  const apps = (Array.isArray(listed) ? listed : [listed]).filter(isObject)
  if (apps.length === 0 || apps.some((app) => (app.script ?? app.exec) === undefined)) {
    throw monocerosError('ERR_MIGRATE_SHAPE', path)
  }
  return { apps, hasDeploy: file.deploy !== undefined }
}

function unwrapDefault(loaded: unknown): unknown {
  return isObject(loaded) && 'default' in loaded ? loaded.default : loaded
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// pm2 itself has a parser for YAML, Monoceros has none.
async function loadYaml(path: string): Promise<unknown> {
  const require = createRequire(path)
  for (const name of YAML_PACKAGES) {
    const parse = findYamlParser(require, name)
    if (parse !== undefined) return parse(readFileSync(path, 'utf8'))
  }
  throw monocerosError('ERR_MIGRATE_YAML', path)
}

function findYamlParser(
  require: NodeJS.Require,
  name: string,
): ((text: string) => unknown) | undefined {
  try {
    const module: unknown = require(name)
    const parse = isObject(module) ? (module.parse ?? module.load) : undefined
    return typeof parse === 'function' ? (text) => parse(text) : undefined
  } catch {
    // The package is not installed there.
    return undefined
  }
}
