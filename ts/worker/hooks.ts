/** The hooks that run in a worker. The file is loaded only if at least one of them is set. */

import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'

import type { Target } from '../engine/engine.ts'
import { monocerosError } from '../errors.ts'
import { type HookTable, loadHooks, loadHooksFromFile } from '../hooks/load.ts'
import type { HookName } from '../hooks/table.ts'
import type { HookOwnWorker, HookRequest, HookResponse, HookServer } from '../hooks/types.ts'
import { logThrown } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'
import type { BootMessage } from '../messages.ts'

/** What hooks can read of the worker, as of the moment of the call. */
export interface WorkerInfo {
  readonly log: Logger
  readonly countRequests: () => number
  readonly isServing: () => boolean
  readonly sendHeartbeat: () => void
}

/** Calls the hooks that run in a worker, with their arguments. */
export class WorkerHooks {
  readonly #table: HookTable
  readonly #log: Logger
  readonly #server: HookServer
  readonly #worker: HookOwnWorker

  constructor(table: HookTable, message: BootMessage, info: WorkerInfo) {
    this.#table = table
    this.#log = info.log
    this.#server = describeServer(message, info.log)
    this.#worker = describeWorker(message, info)
  }

  has(name: HookName): boolean {
    return this.#table.has(name)
  }

  /**
   * Calls a hook of the boot and waits for its promise; an error of the hook fails the boot
   * (ERR_HOOK_BOOT).
   */
  async callBootHook(name: 'post_fork' | 'post_worker_init'): Promise<void> {
    try {
      await this.#table.get(name)?.(...this.#argumentsOf(name))
    } catch (thrown) {
      throw monocerosError('ERR_HOOK_BOOT', name, describeThrown(thrown)).withCause(thrown)
    }
  }

  /**
   * Calls a hook of the shutdown; an error of the hook is logged. Returns what the hook returns.
   */
  callHook(name: 'worker_int' | 'worker_abort' | 'worker_exit'): unknown {
    try {
      const value = this.#table.get(name)?.(...this.#argumentsOf(name))
      if (value instanceof Promise) return value.catch((thrown) => this.#logFailure(name, thrown))
      return value
    } catch (thrown) {
      this.#logFailure(name, thrown)
      return undefined
    }
  }

  /**
   * Wraps the application so that `pre_request` and `post_request` are called around each request.
   */
  wrapTarget(target: Target): Target {
    if (!this.has('pre_request') && !this.has('post_request')) return target
    if (target.style === 'node') this.#wrapServer(target.server)
    if (target.style !== 'fetch') return target
    const { fetch } = target
    const wrapped = async (request: Request, ...rest: [unknown?, unknown?]): Promise<Response> => {
      let response: Response | undefined
      try {
        const allowed = this.#callPreRequest(request)
        response = allowed ? await fetch(request, ...rest) : new Response(null, { status: 500 })
        return response
      } finally {
        this.#callPostRequest(request, response)
      }
    }
    return { style: 'fetch', fetch: wrapped }
  }

  // One listener replaces all 'request' listeners, so that a request that `pre_request` refuses
  // reaches none of them.
  #wrapServer(server: Server): void {
    const listeners = server.listeners('request')
    server.removeAllListeners('request')
    server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      if (this.has('post_request')) res.once('close', () => this.#callPostRequest(req, res))
      if (!this.#callPreRequest(req)) {
        res.statusCode = 500
        res.end(http.STATUS_CODES[500])
        return undefined
      }
      let result: unknown
      for (const listener of listeners) result = Reflect.apply(listener, server, [req, res])
      // The engine handles the rejection of a promise that the application returns.
      return result
    })
  }

  #callPreRequest(request: HookRequest): boolean {
    try {
      this.#table.get('pre_request')?.(this.#worker, request)
      return true
    } catch (thrown) {
      this.#logFailure('pre_request', thrown)
      return false
    }
  }

  #callPostRequest(request: HookRequest, response: HookResponse): void {
    const hook = this.#table.get('post_request')
    if (hook === undefined) return
    try {
      const environ = createEnviron(request)
      const value = hook(this.#worker, request, environ, response)
      if (value instanceof Promise)
        value.catch((thrown) => this.#logFailure('post_request', thrown))
    } catch (thrown) {
      this.#logFailure('post_request', thrown)
    }
  }

  #argumentsOf(name: HookName): unknown[] {
    const withServer = name === 'post_fork' || name === 'worker_exit'
    return withServer ? [this.#server, this.#worker] : [this.#worker]
  }

  #logFailure(name: HookName, thrown: unknown): void {
    logThrown(this.#log, { name: 'hookFailed', thrown }, name)
  }
}

/** Loads the hook functions: from the config file, and from modules that settings name. */
export async function loadWorkerHooks(
  message: BootMessage,
  info: WorkerInfo,
): Promise<WorkerHooks> {
  const { hookNames, configFile, config } = message
  const inFile = hookNames.filter((name) => typeof config[name] !== 'string')
  const fromFile =
    configFile === undefined ? new Map() : await loadHooksFromFile(configFile, inFile)
  const named = Object.fromEntries(hookNames.map((name) => [name, config[name]]))
  const table = new Map([...fromFile, ...(await loadHooks(named, config.chdir))])
  return new WorkerHooks(table, message, info)
}

function describeServer({ config, listeners }: BootMessage, log: Logger): HookServer {
  return {
    log,
    cfg: config,
    pid: process.ppid,
    num_workers: config.workers,
    timeout: config.timeout,
    address: listeners.map(({ address }) => address),
  }
}

function describeWorker(message: BootMessage, info: WorkerInfo): HookOwnWorker {
  return {
    pid: process.pid,
    ppid: process.ppid,
    age: message.age,
    get nr() {
      return info.countRequests()
    },
    max_requests: message.requestLimit,
    get alive() {
      return info.isServing()
    },
    log: info.log,
    cfg: message.config,
    sockets: message.listeners.map(({ address }) => address),
    notify: info.sendHeartbeat,
  }
}

/** Builds the `environ` argument of `post_request`, with the variable names of WSGI (PEP 3333). */
function createEnviron(request: HookRequest): Readonly<Record<string, string>> {
  const message = 'httpVersion' in request ? request : undefined
  const target = message?.url ?? request.url?.replace(/^[^:]+:\/\/[^/]+/, '') ?? ''
  const [path = ''] = target.split('?', 1)
  return {
    REQUEST_METHOD: request.method ?? '',
    PATH_INFO: path,
    QUERY_STRING: target.slice(path.length + 1),
    RAW_URI: target,
    SERVER_PROTOCOL: `HTTP/${message?.httpVersion ?? '1.1'}`,
    REMOTE_ADDR: message?.socket?.remoteAddress ?? '',
  }
}
