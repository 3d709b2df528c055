/**
 * What node:cluster shows to the application: it runs in a worker, as under pm2. A program that
 * forks in the primary process and listens in the others takes the branch that listens.
 */

import type { Worker } from 'node:cluster'
import type { Socket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import module from 'node:module'
import { serverInternals } from '../http/node/internals.ts'
import { logLine } from '../log/log-lines.ts'
import type { Logger } from '../log/logger.ts'

type Cluster = typeof import('node:cluster')

export interface ClusterOptions {
  /** The number of this worker: `cluster.worker.id`. */
  readonly id: number
  /** The error log, as soon as it is open. */
  readonly log: () => Logger | undefined
  /** Stops this worker as SIGTERM does. */
  readonly stop: () => void
}

/** What the application has done with node:cluster. */
export interface ClusterUse {
  /** Whether the application has called `cluster.fork()`. */
  readonly hasForked: () => boolean
}

/** Makes this process a worker of node:cluster. Call before the application loads. */
export function installCluster({ id, log, stop }: ClusterOptions): ClusterUse {
  const cluster = loadAsWorker(id)
  let hasForked = false
  const fork = (): Worker => {
    const logger = log()
    if (!hasForked && logger !== undefined) logLine(logger, 'clusterForkIgnored')
    hasForked = true
    return createExitedWorker(cluster)
  }
  Object.assign(cluster, {
    ...{ isWorker: true, isPrimary: false, isMaster: false },
    worker: createOwnWorker(cluster, id, stop),
    // Node has these only in a primary process. A program that also runs alone may use them.
    ...{ workers: {}, settings: {}, fork, setupPrimary: () => {}, setupMaster: () => {} },
    disconnect: (callback?: () => void) => void (callback && process.nextTick(callback)),
    _getServer: listenAsPrimary,
  })
  bindAsPrimary(process.getBuiltinModule('node:dgram').Socket.prototype)
  // For `import { isPrimary } from 'node:cluster'`, if a preloaded module has imported it already.
  module.syncBuiltinESMExports()
  return { hasForked: () => hasForked }
}

/**
 * Loads the part of node:cluster that workers have. Its names are those that can be imported. If a
 * preloaded module has loaded the other part, `import { worker }` does not find its name.
 */
function loadAsWorker(id: number): Cluster {
  process.env.NODE_UNIQUE_ID = String(id)
  try {
    return process.getBuiltinModule('node:cluster')
  } finally {
    delete process.env.NODE_UNIQUE_ID
  }
}

function createOwnWorker({ Worker }: Cluster, id: number, stop: () => void): Worker {
  const worker: Worker = Reflect.construct(Worker, [{ id, process, state: 'online' }])
  const leave = (): Worker => {
    if (worker.exitedAfterDisconnect) return worker
    worker.exitedAfterDisconnect = true
    process.disconnect?.()
    stop()
    return worker
  }
  return Object.assign(worker, { disconnect: leave, destroy: leave, kill: leave })
}

/** Creates the result of `fork()`: a worker that has exited and takes no messages. */
function createExitedWorker({ Worker }: Cluster): Worker {
  const exited = Object.assign(new EventEmitter(), {
    ...{ connected: false, exitCode: 0, signalCode: null, killed: false },
    ...{ send: () => false, kill: () => false, disconnect: () => {} },
  })
  const worker: Worker = Reflect.construct(Worker, [{ id: 0, process: exited, state: 'dead' }])
  const stay = () => worker
  return Object.assign(worker, { disconnect: stay, destroy: stay, kill: stay })
}

/** What node:net passes to `cluster._getServer`. */
interface ServerQuery {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number | null
  readonly backlog: number | undefined
  readonly fd: number | undefined
  readonly flags: number | undefined
}

/**
 * Listens as in a process without node:cluster. In a worker, `server.listen()` calls this to
 * request a socket of the primary process.
 */
function listenAsPrimary(server: Server, query: ServerQuery): void {
  const { address, port, addressType, backlog, fd, flags } = query
  serverInternals(server)._listen2.call(server, address, port, addressType, backlog, fd, flags)
}

/**
 * Lets UDP sockets bind as in a process without node:cluster. In a worker, only an exclusive socket
 * does not request one of the primary process.
 */
function bindAsPrimary(prototype: Socket): void {
  const { bind } = prototype
  Object.assign(prototype, {
    bind(this: Socket, ...args: unknown[]) {
      const callbacks = args.filter((given) => typeof given === 'function')
      const [first, address] = args.filter((given) => typeof given !== 'function')
      // A handle is bound already.
      if (typeof first === 'object' && first !== null && 'recvStart' in first) {
        return Reflect.apply(bind, this, args)
      }
      const options = typeof first === 'object' ? first : { port: first, address }
      return Reflect.apply(bind, this, [{ ...options, exclusive: true }, ...callbacks])
    },
  })
}
