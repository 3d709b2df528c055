/**
 * Carries out the commands of the control socket in the arbiter's loop. A command that changes
 * something does what a signal does. It is answered when its effect is known, or after a limit.
 */

import { describeCommands } from '../control/commands.ts'
import { type ControlAnswer, type ControlCall, MAX_WAIT_MS } from '../control/protocol.ts'
import type { ChangeReport } from '../control/reports.ts'
import { assertNever } from '../errors.ts'
import { logLine } from '../log/log-lines.ts'
import { didYouMean } from '../settings/nearest.ts'
import { Diagnoses } from './diagnoses.ts'
import { askWorker } from './diagnosis-commands.ts'
import { REACTIONS, type Reaction, type SignalRequest, whyIgnored } from './reactions.ts'
import { reopenLogs } from './reopen-logs.ts'
import { type ReportSources, Reports } from './reports.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** What commands use of the arbiter. */
export interface CommandSources extends ReportSources {
  readonly applyReaction: (request: SignalRequest, reaction: Reaction) => void
}

/** A command whose effect is not known yet. */
interface PendingCall {
  readonly call: ControlCall
  readonly deadlineMs: number
  /** Returns the answer once the effect is known. */
  readonly check: () => ControlAnswer | undefined
  /** Describes what is still missing at the deadline. */
  readonly describeDelay: () => string
  /** Called once the command has been answered. */
  readonly finish?: () => void
}

const SECOND_MS = 1_000
/** A worker whose event loop is busy for longer is shown with its previous report. */
const TOP_WAIT_MS = 500

/** The commands of one arbiter. */
export class Commands {
  readonly diagnoses = new Diagnoses()
  readonly #sources: CommandSources
  readonly #reports: Reports
  readonly #pending = new Set<PendingCall>()

  constructor(sources: CommandSources) {
    this.#sources = sources
    this.#reports = new Reports(sources)
  }

  /** Carries out one command. */
  handle(call: ControlCall): void {
    const { command, args } = call
    const data = (value: unknown) => call.answer({ ok: true, data: value })
    switch (command) {
      case 'status':
        return data(this.#reports.status())
      case 'workers':
        return data(this.#reports.workers())
      case 'stats':
        return data(this.#reports.stats())
      case 'listeners':
        return data(this.#reports.listeners())
      case 'config':
        return call.answer(this.#describeConfig(args[0]))
      case 'help':
        return data(describeCommands())
      case 'reload':
        return this.#reload(call)
      case 'reopen':
        return this.#reopen(call)
      case 'scale':
        return this.#scale(call)
      case 'worker':
        return this.#stopWorker(call)
      case 'top':
        return this.#describeLoad(call)
      case 'profile':
      case 'heap-snapshot':
      case 'inspect':
        return this.#askWorker(call)
      case 'shutdown':
        return this.#shutdown(call)
      case 'logs':
        // `ControlServer` answers this one, without the arbiter's loop.
        return data(null)
      default:
        return assertNever(command)
    }
  }

  /** Opens the log files again. After an error, which is returned, the open ones stay in use. */
  reopenLogs(): string | undefined {
    return reopenLogs(this.#sources)
  }

  /** Answers the commands whose effect is known. Called after each event of the loop. */
  answerPending(): void {
    for (const pending of this.#pending) {
      const isLate = this.#sources.system.now() >= pending.deadlineMs
      const answer = pending.check() ?? (isLate ? failure(pending.describeDelay()) : undefined)
      if (answer === undefined) continue
      this.#pending.delete(pending)
      pending.call.answer(answer)
      pending.finish?.()
    }
  }

  #describeConfig(name: string | undefined): ControlAnswer {
    const settings = this.#reports.settings()
    if (name === undefined) return { ok: true, data: settings }
    const found = settings.filter((setting) => setting.name === name.replaceAll('-', '_'))
    if (found.length > 0) return { ok: true, data: found }
    const names = settings.map((setting) => setting.name)
    return failure(`unknown setting "${name}"${didYouMean(name, names)}`)
  }

  #reload(call: ControlCall): void {
    const { rollout, workerCount } = this.#sources
    const reaction = this.#reactTo(call, 'reload')
    if (reaction === undefined) return
    if (reaction === 'resumeWorkers') {
      return this.#awaitWorkers(call, () => 'the workers run again, with their previous settings')
    }
    // A deferred reload follows the one that is in progress.
    const number = rollout.reloads.startedCount + (reaction === 'reload' ? 0 : 1)
    this.#await(call, {
      waitMs: this.#rolloutMs(workerCount.wanted),
      check: () => {
        if (this.#sources.getPhase() === 'stopping') return failure('the server is stopping')
        const { finishedCount, lastOutcome, lastError } = rollout.reloads
        if (finishedCount < number) return undefined
        if (lastOutcome === 'succeeded') return change('reload complete: all workers are new')
        return failure(`reload failed; the old workers keep serving: ${lastError}`)
      },
      describeDelay: () => 'the reload has not finished yet; see status and logs',
    })
  }

  #reopen(call: ControlCall): void {
    const error = this.reopenLogs()
    this.#log(call)
    call.answer(error === undefined ? change('the log files are open again') : failure(error))
  }

  #scale(call: ControlCall): void {
    const { workerCount } = this.#sources
    const [text = ''] = call.args
    const isRelative = /^[+-]/.test(text)
    const wanted = isRelative ? workerCount.wanted + Number(text) : Number(text)
    if (this.#sources.getPhase() === 'stopping')
      return call.answer(failure('the server is stopping'))
    if (wanted < 1 || wanted > workerCount.max) {
      const problem = `${wanted} workers are not between 1 and ${workerCount.max}`
      return call.answer(failure(problem))
    }
    this.#log(call)
    workerCount.scaleTo(wanted)
    this.#awaitWorkers(call, () => countServing(wanted))
  }

  #stopWorker(call: ControlCall): void {
    const { supervisor, workerCount } = this.#sources
    const pid = Number(call.args[1])
    const worker = supervisor.workers.list().find((one) => one.pid === pid)
    if (worker === undefined) {
      const pids = supervisor.workers.list().map((one) => one.pid)
      return call.answer(
        failure(`no worker has the pid ${pid}; the workers are ${pids.join(', ')}`),
      )
    }
    if (!worker.isLive()) return call.answer(failure(`worker ${pid} is ${worker.state} already`))
    this.#log(call)
    supervisor.applyEvent(worker, 'retire')
    this.#await(call, {
      waitMs: this.#rolloutMs(1),
      check: () => {
        if (worker.state !== 'gone' || !this.#isSettled()) return undefined
        return change(`worker ${pid} has exited, ${countServing(workerCount.wanted)}`)
      },
      describeDelay: () =>
        `worker ${pid} is ${worker.state}; ${this.#describeWorkers()}; see workers and logs`,
    })
  }

  // Nothing is decided here, so the answer need not wait for an event of the loop.
  #describeLoad({ answer }: ControlCall): void {
    const describe = () => answer({ ok: true, data: this.#reports.load() })
    void this.#sources.monitoring.collectReports(TOP_WAIT_MS).then(describe)
  }

  #askWorker(call: ControlCall): void {
    const { system, supervisor } = this.#sources
    const wait = askWorker({ system, supervisor, diagnoses: this.diagnoses }, call)
    if (typeof wait === 'string') return call.answer(failure(wait))
    this.#log(call)
    this.#await(call, wait)
  }

  #shutdown(call: ControlCall): void {
    const reaction = this.#reactTo(call, call.args[0] === 'quick' ? 'quit' : 'stop')
    if (reaction === undefined) return
    // `ControlServer` answers when the arbiter closes it, at the end.
    this.#await(call, {
      waitMs: MAX_WAIT_MS,
      check: () => undefined,
      describeDelay: () => 'the server has not stopped yet; see status',
    })
  }

  /** Does what a signal does. Returns undefined if that was refused, which has been answered. */
  #reactTo(call: ControlCall, request: SignalRequest): Reaction | undefined {
    const phase = this.#sources.getPhase()
    const reaction = REACTIONS[phase][request]
    if (reaction === 'ignore') call.answer(failure(whyIgnored(phase)))
    else if (reaction === 'refuse') call.answer(failure(this.#sources.upgrade.describeRefusal()))
    else {
      this.#log(call)
      this.#sources.applyReaction(request, reaction)
      return reaction
    }
    return undefined
  }

  #awaitWorkers(call: ControlCall, describe: () => string): void {
    this.#await(call, {
      waitMs: this.#rolloutMs(this.#sources.workerCount.wanted),
      check: () => (this.#isSettled() ? change(describe()) : undefined),
      describeDelay: () => `${this.#describeWorkers()}; see workers and logs`,
    })
  }

  /** Returns whether exactly the wanted number of workers serves. */
  #isSettled(): boolean {
    const { supervisor, workerCount } = this.#sources
    const live: WorkerHandle[] = supervisor.workers.live()
    return live.length === workerCount.wanted && live.every((worker) => worker.state === 'serving')
  }

  #describeWorkers(): string {
    const { supervisor, workerCount } = this.#sources
    return `${supervisor.workers.countServing()} of ${workerCount.wanted} workers serve`
  }

  /** Returns how long it takes at most to replace a number of workers. */
  #rolloutMs(count: number): number {
    const { rollout, dependencies } = this.#sources
    const config = rollout.currentGeneration?.config ?? dependencies.settings.values
    const seconds = config.boot_timeout + config.graceful_timeout
    return Math.min(MAX_WAIT_MS, (count + 1) * seconds * SECOND_MS)
  }

  #await(call: ControlCall, { waitMs, ...rest }: Waiting): void {
    const deadlineMs = this.#sources.system.now() + waitMs
    this.#pending.add({ call, deadlineMs, ...rest })
  }

  #log({ command, args }: ControlCall): void {
    const words = [command, ...args].join(' ')
    logLine(this.#sources.dependencies.log, 'handlingCommand', words)
  }
}

type Waiting = Omit<PendingCall, 'call' | 'deadlineMs'> & { readonly waitMs: number }

function countServing(count: number): string {
  return `${count} ${count === 1 ? 'worker serves' : 'workers serve'}`
}

function change(message: string): ControlAnswer {
  const data: ChangeReport = { message }
  return { ok: true, data }
}

function failure(error: string): ControlAnswer {
  return { ok: false, error }
}
