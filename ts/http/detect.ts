/**
 * Detects the style of an application from the exports of its module: `node` for `(req, res)`,
 * `fetch` for `Request`.
 */
import http from 'node:http'
import { resolve } from 'node:path'
import { types } from 'node:util'
import type { Target } from '../engine/engine.ts'
import { monocerosError } from '../errors.ts'
import { describeThrown } from '../log/thrown-value.ts'
import { loadModule } from '../settings/load.ts'
import type { FetchFunction } from './fetch.ts'
import { findFetchHooks, findInstance, isFunction, isServer, readProperty } from './framework.ts'
import type { ListenCapture } from './node/listen.ts'

export interface DetectOptions {
  /** The NAME in `app.js:NAME`. */
  readonly exportName: string | undefined
  /** The setting `worker_class`: `auto`, `node`, `fetch`, or the path of an adapter module. */
  readonly workerClass: string
  /** The servers that the application has made listen. */
  readonly captured: ListenCapture
}

type Style = 'auto' | 'node' | 'fetch'

/**
 * Finds the application among the exports of a module. Rejects with an error that gives the reason
 * if there is none.
 */
export async function detectTarget(exports: unknown, options: DetectOptions): Promise<Target> {
  const { exportName, workerClass, captured } = options
  if (isStyle(workerClass))
    return toTarget((await pickExport(exports, options)).value, workerClass, options)
  // A module given as `worker_class` is an adapter. It gets what the application exports, and
  // returns a server, a listener or a fetch function.
  const adapter = unwrapDefault(await loadAdapter(workerClass))
  if (typeof adapter !== 'function') {
    throw monocerosError('ERR_WORKER_CLASS', workerClass, `that is ${describeValue(adapter)}.`)
  }
  const application =
    exportName === undefined && captured.server !== undefined
      ? captured.server
      : (await pickExport(exports, options)).value
  return toTarget(await adapter(application), 'auto', options)
}

async function loadAdapter(path: string): Promise<unknown> {
  try {
    return await loadModule(resolve(path))
  } catch (thrown) {
    throw monocerosError('ERR_WORKER_CLASS', path, describeThrown(thrown)).withCause(thrown)
  }
}

function isStyle(workerClass: string): workerClass is Style {
  return workerClass === 'auto' || workerClass === 'node' || workerClass === 'fetch'
}

/**
 * Picks the named export, else the server that listens, else the default export, else the exports
 * themselves.
 */
async function pickExport(exports: unknown, options: DetectOptions): Promise<PickedExport> {
  const { exportName, captured } = options
  if (exportName !== undefined) {
    const found =
      readProperty(exports, exportName) ??
      readProperty(unwrapDefault(exports), exportName) ??
      undefined
    if (found === undefined) {
      throw monocerosError('ERR_APP_EXPORT_MISSING', exportName, listExportNames(exports))
    }
    return awaitExport(found)
  }
  // A module that exports a fetch function may also call listen(). Then the listening server takes
  // precedence.
  return awaitExport(captured.server ?? unwrapDefault(exports))
}

/**
 * An export in an object: an async function that returned the export itself would await it if it
 * has a `then`.
 */
interface PickedExport {
  readonly value: unknown
}

/**
 * Awaits an export, but not a router of itty-router: each of its properties is a function, so it
 * has a `then`.
 */
async function awaitExport(value: unknown): Promise<PickedExport> {
  return { value: isFunction(readProperty(value, 'fetch')) ? value : await value }
}

async function toTarget(
  value: unknown,
  style: Style,
  { exportName }: DetectOptions,
): Promise<Target> {
  const target =
    (style !== 'fetch' && (await toNodeTarget(value, style))) ||
    (style !== 'node' && (await toFetchTarget(value)))
  if (target) return target
  if (exportName === undefined && hasNoDefault(value)) {
    throw monocerosError('ERR_APP_NO_EXPORT', listExportNames(value))
  }
  throw monocerosError('ERR_APP_NOT_CALLABLE', exportName ?? 'default', describeValue(value), style)
}

async function toNodeTarget(value: unknown, style: Style): Promise<Target | undefined> {
  if (isServer(value)) return { style: 'node', server: value }
  if (style === 'auto' && isFunction(readProperty(value, 'fetch'))) return undefined
  if (isFunction(value)) {
    // A fetch function takes one argument; Express, Connect and Koa's callback take two or three.
    if (style === 'auto' && value.length < 2) return undefined
    return createListenerTarget(value)
  }
  const instance = await findInstance(value)
  if (instance !== undefined) return { style: 'node', ...instance }
  // Koa.
  const callback = readProperty(value, 'callback')
  if (isFunction(callback)) return createListenerTarget(callback.call(value))
  // Polka.
  const handler = readProperty(value, 'handler')
  if (isFunction(handler) && handler.length >= 2) return createListenerTarget(handler.bind(value))
  return undefined
}

async function toFetchTarget(value: unknown): Promise<Target | undefined> {
  const method = readProperty(value, 'fetch')
  if (isFetchFunction(method)) {
    return { style: 'fetch', fetch: method.bind(value), ...(await findFetchHooks(value)) }
  }
  if (isFetchFunction(value)) return { style: 'fetch', fetch: value }
  return undefined
}

function createListenerTarget(listener: unknown): Target {
  // `createServer` checks that it is a function. What parameters it takes cannot be known.
  return { style: 'node', server: http.createServer(listener as http.RequestListener) }
}

/**
 * Returns the default export. A CommonJS module that a compiler gave an `exports.default` is
 * unwrapped twice, an ES module once.
 */
function unwrapDefault(exports: unknown): unknown {
  let value = exports
  for (let depth = 0; depth < 2; depth++) {
    if (isFunction(readProperty(value, 'fetch'))) return value
    const inner = readProperty(value, 'default')
    if (inner === undefined || inner === null) return value
    value = inner
  }
  return value
}

/** Whether a value can be a fetch function. What it returns is checked for each request. */
function isFetchFunction(value: unknown): value is FetchFunction {
  return typeof value === 'function'
}

/**
 * Whether a value is the exports of a module that has set none: an ES module without a default
 * export, or the empty object that every CommonJS module begins with.
 */
function hasNoDefault(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return types.isModuleNamespaceObject(value) || Object.keys(value).length === 0
}

function listExportNames(exports: unknown): string {
  const names = new Set<string>()
  for (const value of [exports, unwrapDefault(exports)]) {
    if (typeof value !== 'object' || value === null) continue
    for (const name of Object.keys(value)) names.add(name)
  }
  return [...names].join(', ') || 'nothing'
}

/** Describes what a module exports, for an error. */
function describeValue(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'object')
    return typeof value === 'undefined' ? 'nothing' : `a ${typeof value}`
  const keys = Object.keys(value)
  return keys.length === 0 ? 'an empty object' : `an object with ${keys.slice(0, 8).join(', ')}`
}
