/**
 * The life of a framework's instance that an application exports: its server, what the framework
 * does before and after it listens, and how it is closed.
 */
import http from 'node:http'
import { isHttpsServer } from './node/internals.ts'

/** What a framework does when its application begins to serve, and when it ends. */
export interface FrameworkHooks {
  /** Calls the hooks that the framework runs once it listens; call after the engine serves. */
  readonly start?: () => unknown
  /** Closes the instance, with its hooks and resources. */
  readonly close?: () => unknown
}

/** The instance of a framework over node:http. */
export interface FrameworkInstance extends FrameworkHooks {
  readonly server: http.Server
}

/**
 * Returns the instance when it is ready: Fastify, Nest, hapi, restify. Returns undefined if the
 * value has no server.
 */
export async function findInstance(value: unknown): Promise<FrameworkInstance | undefined> {
  const getHttpServer = readProperty(value, 'getHttpServer')
  const server = isFunction(getHttpServer)
    ? getHttpServer.call(value)
    : (readProperty(value, 'server') ?? readProperty(value, 'listener'))
  if (!isServer(server)) return undefined
  for (const name of ['ready', 'init', 'initialize']) {
    if (await callMethod(value, name)) break
  }
  // Nest initializes the routes of an instance of Fastify, but not the instance.
  const getHttpAdapter = readProperty(value, 'getHttpAdapter')
  const adapter = isFunction(getHttpAdapter) ? getHttpAdapter.call(value) : undefined
  const getInstance = readProperty(adapter, 'getInstance')
  if (isFunction(getInstance)) await callMethod(getInstance.call(adapter), 'ready')
  return { server, ...findStart(value, server), ...findClose(value) }
}

/** Fastify calls its hooks in `listen()`, hapi in `start()`. */
function findStart(value: unknown, server: http.Server): FrameworkHooks {
  const [listen, start] = [readProperty(value, 'listen'), readProperty(value, 'start')]
  if (isFunction(readProperty(value, 'ready')) && isFunction(listen)) {
    // The server has its address already. Without a host Fastify would look up localhost.
    return {
      start: () => withOpenServer(server, () => listen.call(value, { host: '127.0.0.1', port: 0 })),
    }
  }
  if (isFunction(readProperty(value, 'initialize')) && isFunction(start)) {
    return { start: () => withOpenServer(server, () => start.call(value)) }
  }
  return {}
}

/** Finds the method that ends an instance and its hooks: Fastify, Nest, restify; hapi. */
function findClose(value: unknown): FrameworkHooks {
  const close = readProperty(value, 'close') ?? readProperty(value, 'stop')
  return isFunction(close) ? { close: () => close.call(value) } : {}
}

/**
 * Lets a framework call `listen()` on a server that the engine serves already: the call succeeds
 * and calls the listeners that the framework has added for it.
 */
async function withOpenServer(server: http.Server, start: () => unknown): Promise<void> {
  const earlier = new Set<unknown>(server.rawListeners('listening'))
  const listen = (...args: unknown[]): http.Server => {
    process.nextTick(() => {
      const added = server.rawListeners('listening').filter((listener) => !earlier.has(listener))
      for (const call of [...added, args.at(-1)])
        if (isFunction(call)) Reflect.apply(call, server, [])
    })
    return server
  }
  Object.defineProperty(server, 'listen', { configurable: true, value: listen })
  try {
    await start()
  } finally {
    Reflect.deleteProperty(server, 'listen')
  }
}

/** Finds the hooks of Elysia, which it calls in the `listen()` and `stop()` of its own server. */
export async function findFetchHooks(value: unknown): Promise<FrameworkHooks> {
  // Plugins that are loaded by import() add their routes later.
  await readProperty(value, 'modules')
  const hooks = readProperty(value, 'event')
  const call = async (name: string): Promise<void> => {
    const list = readProperty(hooks, name)
    for (const hook of Array.isArray(list) ? list : []) await hook.fn(value)
  }
  const has = (name: string) => Array.isArray(readProperty(hooks, name))
  return {
    ...(has('start') ? { start: () => call('start') } : {}),
    ...(has('stop') ? { close: () => call('stop') } : {}),
  }
}

/** Calls a method and waits for it; false if the value has no such method. */
async function callMethod(value: unknown, name: string): Promise<boolean> {
  const method = readProperty(value, name)
  if (!isFunction(method)) return false
  await method.call(value)
  return true
}

/** Whether a value is a server of node:http or node:https. */
export function isServer(value: unknown): value is http.Server {
  return value instanceof http.Server || isHttpsServer(value)
}

/** Reads a property of an object or a function; undefined for any other value. */
export function readProperty(value: unknown, name: string): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  return Reflect.get(value, name)
}

/** Whether a value is a function, of unknown parameters. */
export function isFunction(value: unknown): value is (...args: unknown[]) => unknown {
  return typeof value === 'function'
}
