// An operating system without processes, for tests of the arbiter: the test advances the clock and
// controls the children, and reads what was sent to them.

import { Arbiter } from '../../ts/arbiter/arbiter.ts'
import type { ArbiterDependencies } from '../../ts/arbiter/dependencies.ts'
import { EventQueue } from '../../ts/arbiter/events.ts'
import type { Generation } from '../../ts/arbiter/generation.ts'
import { ArbiterHooks } from '../../ts/arbiter/hooks.ts'
import type { CommandName } from '../../ts/control/commands.ts'
import type { ControlAnswer } from '../../ts/control/protocol.ts'
import { systemError } from '../../ts/errors.ts'
import type { Logger } from '../../ts/log/logger.ts'
import type {
  Child,
  ParentChannel,
  SpawnOptions,
  SpawnSelfOptions,
  Successor,
  System,
} from '../../ts/process/system.ts'
import { MessageScoreboard } from '../../ts/scoreboard/messages.ts'
import type { Config, ResolvedConfig } from '../../ts/settings/config.ts'
import type { SignalName } from '../../ts/signals.ts'
import { TicketSecrets } from '../../ts/tls/tickets.ts'
import { FakeChild, FakeParent, FakeSuccessor } from './fake-processes.ts'

export class FakeSystem implements System {
  readonly pid = 1000
  readonly env = {}
  readonly children: FakeChild[] = []
  readonly successors: FakeSuccessor[] = []
  readonly #timers = new Set<{ atMs: number; callback: () => void }>()
  readonly #signals = new Map<SignalName, () => void>()
  #nowMs = 0

  now = () => this.#nowMs
  date = () => new Date(this.#nowMs)
  random = () => 0.5
  isAlive: (pid: number) => boolean = () => false
  sleep = () => new Promise<void>(() => {})
  every = () => () => {}
  countListeners = () => 1
  onUncaught = () => () => {}
  onRejection = () => {}
  onExit = () => {}
  onIdle = () => {}
  emitUncaught = () => {}

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  onSignal(signal: SignalName, callback: () => void): () => void {
    this.#signals.set(signal, callback)
    return () => this.#signals.delete(signal)
  }

  kill(pid: number, signal: string): boolean {
    this.children.find((child) => child.pid === pid)?.signals.push(signal)
    return true
  }

  residentSize: number | undefined

  readResidentBytes(): number | undefined {
    return this.residentSize
  }

  oomKills: number | undefined = 0

  countOomKills(): number | undefined {
    return this.oomKills
  }

  spawn(options: SpawnOptions): Child {
    const child = new FakeChild(this.pid + this.children.length + 1, options)
    this.children.push(child)
    return child
  }

  spawnSelf(options: SpawnSelfOptions): Successor {
    const successor = new FakeSuccessor(options)
    this.successors.push(successor)
    return successor
  }

  openParentChannel(): ParentChannel {
    return new FakeParent()
  }

  exit(): never {
    throw systemError('EPERM', 'a fake process does not exit')
  }

  /** Delivers a signal to the arbiter. */
  async deliverSignal(name: SignalName): Promise<void> {
    this.#signals.get(name)?.()
    await runQueued()
  }

  /** Advances the clock timer by timer. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= untilMs)
      const next = due.sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.callback()
      await runQueued()
    }
    this.#nowMs = untilMs
  }

  /** Advances the clock without firing timers, as if this process were suspended. */
  freeze(ms: number): void {
    this.#nowMs += ms
  }

  /** The children that have not exited. */
  get running(): FakeChild[] {
    return this.children.filter((child) => !child.hasExited)
  }
}

/** Waits until all queued events are handled. */
export async function runQueued(): Promise<void> {
  await new Promise((done) => setImmediate(done))
}

export interface Stage {
  readonly system: FakeSystem
  readonly log: string[]
  readonly closedAddresses: string[]
  readonly status: Promise<number>
  /** Notifications that were sent to systemd. */
  readonly notifications: string[]
  readonly titles: string[]
  readonly pidfiles: string[]
  /** Sends a command of the control socket; resolves to its answer. */
  readonly command: (command: CommandName, ...args: string[]) => Promise<ControlAnswer>
  /** Settings that the next reload reads, or the error that it throws. */
  nextLoad: Partial<Config> | Error | 'never'
  /** Error that creating the log files throws. */
  prepareLogsError: Error | undefined
  /** Files that the arbiter watches (setting `reload`). */
  readonly watchedFiles: string[]
  changeFiles: (...files: string[]) => void
  /** Error that opening the file watcher throws. */
  openWatchError: Error | undefined
}

/** Starts an arbiter on a fake system. */
export async function startArbiter(
  settings: Partial<Config> = {},
  {
    parent,
    processorCount = 64,
  }: Partial<Pick<ArbiterDependencies, 'parent' | 'processorCount'>> = {},
): Promise<Stage> {
  const system = new FakeSystem()
  const notifications: string[] = []
  const titles: string[] = []
  const pidfiles: string[] = []
  const log: string[] = []
  const closedAddresses: string[] = []
  const watchedFiles: string[] = []
  const stage = {
    nextLoad: {} as Stage['nextLoad'],
    prepareLogsError: undefined as Error | undefined,
    changeFiles: (..._files: string[]) => {},
    openWatchError: undefined as Error | undefined,
  }
  const queue = new EventQueue()
  const command = (name: CommandName, ...args: string[]) =>
    new Promise<ControlAnswer>((answer) => {
      queue.push({ type: 'command', call: { command: name, args, answer } })
    })
  const hooks = new ArbiterHooks(fakeLog(log))
  const first = resolved(settings)
  await hooks.load(first)
  queue.subscribeToSignals(system)
  const dependencies: ArbiterDependencies = {
    queue,
    settings: first,
    loadSettings: async () => {
      if (stage.nextLoad instanceof Error) throw stage.nextLoad
      if (stage.nextLoad === 'never') await new Promise(() => {})
      const reloaded = resolved({ ...settings, ...Object(stage.nextLoad) })
      await hooks.load(reloaded)
      return reloaded
    },
    openGeneration: async ({ values }, earlier) => fakeGeneration(values, earlier, closedAddresses),
    scoreboard: new MessageScoreboard(system, 32),
    log: fakeLog(log),
    hooks,
    setTitle: (title) => void titles.push(title),
    createPidfile(path) {
      pidfiles.push(path)
      return {
        remove: () => void pidfiles.push(`-${path}`),
        rename: (to) => void pidfiles.push(`${path} > ${to}`),
      }
    },
    notifier: {
      notifyReady: (status) => void notifications.push(`ready ${status}`),
      notifyReloading: () => void notifications.push('reloading'),
      notifyStopping: (successor) => void notifications.push(`stopping ${successor ?? ''}`.trim()),
      notifyPromoted: () => void notifications.push('promoted'),
      sendWatchdogIfDue: () => {},
      nextWatchdogMs: () => Number.POSITIVE_INFINITY,
    },
    prepareLogs() {
      if (stage.prepareLogsError !== undefined) throw stage.prepareLogsError
    },
    openSourceWatch: async (_config, options) => {
      if (stage.openWatchError !== undefined) throw stage.openWatchError
      stage.changeFiles = (...files) => options.onChange(files)
      return {
        addLoadedFiles: (files) => void watchedFiles.push(...files),
        close: () => void watchedFiles.push('closed'),
      }
    },
    processorCount,
    program: { entry: '/app/monoceros', args: ['./app.js'], cwd: '/' },
    isSocketActivated: false,
    parent,
    reapOrphans: () => {},
    version: '0',
    engineDescription: 'none',
  }
  const status = new Arbiter(system, dependencies).run()
  await runQueued()
  return Object.assign(stage, {
    system,
    log,
    closedAddresses,
    status,
    notifications,
    titles,
    pidfiles,
    watchedFiles,
    command,
  })
}

/** Reports every running worker as ready. */
export async function makeAllReady({ system }: Stage): Promise<void> {
  for (const child of system.running) child.sendMessage({ type: 'ready', engine: 'none' })
  await runQueued()
}

export function fakeLog(lines: string[]): Logger {
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  return {
    debug: at('debug'),
    info: at('info'),
    warning: at('warning'),
    error: at('error'),
    critical: at('critical'),
    exception: (message, thrown) => void lines.push(`error ${message}: ${String(thrown)}`),
    output: (pid, stream, line) => void lines.push(`${stream} ${pid} ${line}`),
    configure: () => {},
    reopen: () => void lines.push('reopened'),
  }
}

function fakeGeneration(
  config: Config,
  earlier: Generation | undefined,
  closedAddresses: string[],
): Generation {
  const listeners = config.bind.map(
    (bind, index) =>
      earlier?.listeners.find((listener) => listener.bind === bind) ?? {
        bind,
        fd: 50 + index + 10 * (earlier?.number ?? 0),
        address: `http://${bind}`,
        port: 8000 + index,
        socketFile: undefined,
        applyOptions: () => {},
        close: ({ unlink }: { unlink: boolean }) =>
          void closedAddresses.push(unlink ? bind : `${bind} (kept)`),
      },
  )
  const ticketSecrets = earlier?.ticketSecrets ?? new TicketSecrets()
  return { number: (earlier?.number ?? 0) + 1, config, givenSettings: [], listeners, ticketSecrets }
}

function resolved(settings: Partial<Config>): ResolvedConfig {
  const values = {
    app: './app.js',
    bind: ['127.0.0.1:8000'],
    workers: 2,
    timeout: 0,
    boot_timeout: 60,
    graceful_timeout: 30,
    max_requests: 0,
    max_worker_lifetime: 0,
    max_worker_lifetime_jitter: 0,
    max_worker_memory: 0,
    max_requests_jitter: 0,
    proc_name: null,
    pidfile: null,
    raw_env: [],
    inspect: null,
    inspect_brk: null,
    max_surge: 1,
    worker_nice: 0,
    worker_cpu_affinity: 'off',
    daemon: false,
    chdir: '/',
    ...settings,
  } as unknown as Config
  return { values, origins: {} as ResolvedConfig['origins'], warnings: [] }
}
