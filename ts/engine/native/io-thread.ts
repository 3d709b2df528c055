/**
 * The I/O thread of this JavaScript environment: the ring, the bridge and the pipe that wakes
 * JavaScript. Any number of servers share it.
 */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
import { monocerosError } from '../../errors.ts'
import { setCurrentExchangeSource } from '../../http/uncaught-errors.ts'
import { type NativeEngine, type NativeEngineOptions, native } from '../../native/index.ts'
import { system } from '../../process/system.ts'
import type { EngineSettings } from '../../settings/engine.ts'
import type { EngineBoard } from '../engine.ts'
import type { ExchangeHandler } from '../exchange.ts'
import { sendAllDeferred } from './deferred-end.ts'
import { currentExchange, Dispatcher } from './dispatcher.ts'
import { Ring } from './ring.ts'
import { runInRootContext, ServerScope } from './server-scope.ts'

export interface IoThreadOptions {
  readonly settings: EngineSettings
  readonly options?: NativeEngineOptions
  readonly board?: EngineBoard | undefined
  /** A draining engine has no connection left. */
  readonly onIdle: () => void
  /** Logs a message of the engine; the level is one of `FAULT_LEVEL`. */
  readonly onFault: (text: string, level: number) => void
}

/** Wakes that are read at once; the engine writes one before it knows that the last was taken. */
const WAKE_BYTES = 16

/**
 * Whether JavaScript's event loop runs the I/O loop while JavaScript is calm. Bun has the functions
 * of libuv that this takes, and aborts when they are called.
 */
const movableLoop =
  process.versions['bun'] === undefined && process.env['MONOCEROS_LOOP'] !== 'io-thread'

export class IoThread {
  readonly engine: NativeEngine
  readonly #handlers = new Map<number, ExchangeHandler>()
  readonly #ring: Ring
  readonly #waker: Socket
  #nextServerId = 0
  #holds = 0

  constructor({ settings, options, board, onIdle, onFault }: IoThreadOptions) {
    if (native === null) throw monocerosError('ERR_ENGINE_NATIVE', 'no binary is loaded')
    const ring = new Ring()
    const workerSlot =
      board === undefined
        ? undefined
        : {
            ...board,
            kickFds: [...board.kickFds],
            transfers: board.transfers && {
              inbox: board.transfers.inbox,
              outboxes: [...board.transfers.outboxes],
            },
          }
    const nativeOptions = { movableLoop, ...options, workerSlot }
    this.engine = new native.Engine(settings, nativeOptions, ring.memory)
    const { take: takeEvents, wake } = this.engine.calls()
    ring.attach(this.engine, wake)
    const source = { engine: this.engine, takeEvents }
    const dispatcher = new Dispatcher(ring, source, this.#handlers, onIdle, onFault)
    // Events of every server pass through this pipe.
    this.#waker = runInRootContext(() => openWakePipe(this.engine.wakeFd, dispatcher.run))
    this.engine.watch(() => {
      try {
        dispatcher.run()
      } catch (error) {
        // Node must have the error before the async scope of this callback closes.
        this.engine.reportUncaught(error)
      }
    })
    setCurrentExchangeSource(currentExchange)
    this.#ring = ring
    if (running === undefined) system.onExit(settleRings)
    running ??= new Set()
    running.add(ring)
  }

  /** The number under which the engine knows a server, whose exchanges `handler` takes. */
  add(handler: ExchangeHandler): number {
    const serverId = this.#nextServerId++
    handler.scope = new ServerScope()
    this.#handlers.set(serverId, handler)
    return serverId
  }

  /** Nothing more is accepted for the server; the connections that it has know their handler. */
  forget(serverId: number): void {
    this.#handlers.delete(serverId)
  }

  /** Ends the connections that applications have taken over: the drain no longer waits for them. */
  endTunnels(): void {
    for (const handler of this.#handlers.values()) handler.onStop?.()
  }

  /** Lets the process exit while no server holds this thread; until the call it stays alive. */
  letGo(): void {
    this.#waker.unref()
  }

  hold(): void {
    if (this.#holds++ === 0) this.#waker.ref()
  }

  release(): void {
    if (--this.#holds === 0) this.#waker.unref()
  }

  stop(): void {
    running?.delete(this.#ring)
    this.engine.stop()
    this.#waker.destroy()
  }
}

/** The rings of the threads that run, once there has been one. */
let running: Set<Ring> | undefined

/**
 * A program that ends the process from a callback of its answer has handed that over, as on node.
 */
function settleRings(): void {
  sendAllDeferred()
  for (const ring of running ?? []) ring.settle()
}

/**
 * Calls `run` whenever the engine has written to its end of the pipe; keeps the process alive
 * meanwhile.
 */
function openWakePipe(fd: number, run: () => void): Socket {
  const callback = (): boolean => {
    run()
    return true
  }
  // One buffer for all reads; the option is in Node's documentation of `net.connect` and missing in
  // the type here.
  const onread = { buffer: Buffer.alloc(WAKE_BYTES), callback }
  const options: SocketConstructorOpts & { onread: OnReadOpts } = {
    fd,
    readable: true,
    writable: false,
    onread,
  }
  return new Socket(options)
}
