/** The hooks that run in a worker. Without any of them this file is never loaded. */

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

/** What the worker tells of itself, of the moment. */
export interface WorkerInfo {
  readonly log: Logger
  readonly countRequests: () => number
  readonly isServing: () => boolean
  readonly sendHeartbeat: () => void
}

export class WorkerHooks {
  readonly #table: HookTable
  readonly #log: Logger
  readonly #server: HookServer
  readonly #worker: HookOwnWorker

  constructor(table: HookTable, message: BootMessage, facts: WorkerInfo) {
    this.#table = table
    this.#log = facts.log
    this.#server = describeServer(message, facts.log)
    this.#worker = describeWorker(message, facts)
  }

  has(name: HookName): boolean {
    return this.#table.has(name)
  }

  /** A hook of the boot: waited for, and its failure is one of the boot. */
  async callBootHook(name: 'post_fork' | 'post_worker_init'): Promise<void> {
    try {
      await this.#table.get(name)?.(...this.#argumentsOf(name))
    } catch (thrown) {
      throw monocerosError('ERR_HOOK_BOOT', name, describeThrown(thrown)).withCause(thrown)
    }
  }

  /** A hook of the end: its failure is logged. */
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

  /** Puts pre_request and post_request round each request. */
  wrapTarget(target: Target): Target {
    if (!this.has('pre_request') && !this.has('post_request')) return target
    if (target.style === 'node') this.#wrapServer(target.server)
    if (target.style !== 'fetch') return target
    const { fetch } = target
    const around = async (request: Request, ...rest: [unknown?, unknown?]): Promise<Response> => {
      let response: Response | undefined
      try {
        const allowed = this.#callPreRequest(request)
        response = allowed ? await fetch(request, ...rest) : new Response(null, { status: 500 })
        return response
      } finally {
        this.#callPostRequest(request, response)
      }
    }
    return { style: 'fetch', fetch: around }
  }

  // One listener in the place of those that were there, so that a refused request reaches none of them.
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
      // A promise: whoever serves watches what the application returned.
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

/** Loads the functions: those that the arbiter saw in the config file, and those that are modules. */
export async function loadWorkerHooks(
  message: BootMessage,
  facts: WorkerInfo,
): Promise<WorkerHooks> {
  const { hookNames, configFile, config } = message
  const inFile = hookNames.filter((name) => typeof config[name] !== 'string')
  const fromFile =
    configFile === undefined ? new Map() : await loadHooksFromFile(configFile, inFile)
  const named = Object.fromEntries(hookNames.map((name) => [name, config[name]]))
  const table = new Map([...fromFile, ...(await loadHooks(named, config.chdir))])
  return new WorkerHooks(table, message, facts)
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

function describeWorker(message: BootMessage, facts: WorkerInfo): HookOwnWorker {
  return {
    pid: process.pid,
    ppid: process.ppid,
    age: message.age,
    get nr() {
      return facts.countRequests()
    },
    max_requests: message.requestLimit,
    get alive() {
      return facts.isServing()
    },
    log: facts.log,
    cfg: message.config,
    sockets: message.listeners.map(({ address }) => address),
    notify: facts.sendHeartbeat,
  }
}

/** The facts that WSGI gives under these names. */
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
