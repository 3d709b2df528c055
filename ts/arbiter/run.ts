/** Runs an arbiter on this process with its real dependencies. `ts/cli/start.ts` calls it. */

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { MonocerosError, monocerosError } from '../errors.ts'
import { checkBacklog } from '../listen/backlog.ts'
import { createNotifier, takeActivatedSockets } from '../listen/systemd.ts'
import { loadCustomLogger } from '../log/custom.ts'
import { logLine } from '../log/log-lines.ts'
import { createLogger, type Logger } from '../log/logger.ts'
import { RecentLines } from '../log/recent-lines.ts'
import { native, nativeFailure } from '../native/index.ts'
import { parseOpenFileLimits } from '../process/proc-files.ts'
import { type Program, system } from '../process/system.ts'
import { setTitle } from '../process/title.ts'
import { prepareLogFile, resolveOwner } from '../process/user.ts'
import { readPackageVersion } from '../process/version.ts'
import { type ArbiterScoreboard, computeSlotCount } from '../scoreboard/board.ts'
import { MessageScoreboard } from '../scoreboard/messages.ts'
import { SharedScoreboard } from '../scoreboard/shared.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import { availableCpus } from '../settings/cpus.ts'
import { Arbiter } from './arbiter.ts'
import { checkApplication } from './check.ts'
import { ControlSocket } from './control-socket.ts'
import type { ParentProcess } from './dependencies.ts'
import { EventQueue } from './events.ts'
import { createGenerationOpener } from './generation.ts'
import { ArbiterHooks } from './hooks.ts'
import { createOrphanReaper } from './orphans.ts'
import { createPidfile } from './pidfile.ts'
import { openSourceWatch } from './source-watch.ts'
import type { UpgradeState } from './upgrade-state.ts'

/** How this process was started. */
export interface ArbiterStart {
  readonly program: Program
  /**
   * State that the process which started this one has passed on; undefined after an ordinary start.
   */
  readonly upgradeState: UpgradeState | undefined
  /** True inside a program that calls `run`: the signal handlers are removed at the end. */
  readonly isEmbedded: boolean
}

/**
 * Runs an arbiter until a signal stops it; resolves to the exit status. `load` reads the settings,
 * now and for each reload.
 */
export async function runArbiter(
  load: () => Promise<ResolvedConfig>,
  { program, upgradeState, isEmbedded }: ArbiterStart,
): Promise<number> {
  const parent = openParentProcess(upgradeState)
  // First of all: until here a signal has its default effect, and the checks below may take any
  // time.
  const queue = new EventQueue()
  let controlSocket: ControlSocket | undefined
  const unsubscribe = queue.subscribeToSignals(system)
  // A module that the settings name may never finish loading.
  const isStoppedBefore = (step: Promise<unknown>) =>
    Promise.race([step.then(() => false), queue.waitForSignal('stop', 'quit').then(() => true)])
  // The command that starts a daemon also prints errors of the start.
  const reportStartError = (text: string) => parent?.channel.send({ type: 'startError', text })
  try {
    const settings = await load()
    const { values } = settings
    if (await isStoppedBefore(loadCustomLogger(values))) return 0
    const recent = new RecentLines()
    const log = forwardErrors(
      createLogger(values, { recent }),
      upgradeState?.kind === 'daemon' ? reportStartError : undefined,
    )
    // With `reload` a failure is shown as a page and does not end the start.
    if (values.preload_app && !values.reload) {
      const status = await checkApplication(values, log, queue.waitForSignal('stop', 'quit'))
      if (status !== 0) return status
    }
    const openFiles = readOpenFilesLimit()
    logLine(log, 'openFileLimit', openFiles.text)
    controlSocket = new ControlSocket(system, {
      log,
      isSuccessor: upgradeState?.kind === 'upgrade',
      onCall: (call) => queue.push({ type: 'command', call }),
      findLog: () => ({ path: log.path, recent }),
    })
    if (await isStoppedBefore(controlSocket.start(values))) return 0
    const warning = checkBacklog(values.backlog)
    if (warning !== undefined) log.warning(warning)
    const hooks = new ArbiterHooks(log)
    if (await isStoppedBefore(hooks.load(settings))) return 0
    return await new Arbiter(system, {
      settings,
      log,
      queue,
      program,
      parent,
      setTitle,
      hooks,
      loadSettings: async () => {
        const reloaded = await load()
        await loadCustomLogger(reloaded.values)
        await hooks.load(reloaded)
        return reloaded
      },
      ...createOpener({ log, hooks }, upgradeState),
      inheritedExtraListeners: upgradeState?.further ?? [],
      earlierLifecycle: upgradeState?.lifecycle,
      scoreboard: createScoreboard(
        computeSlotCount(values.workers, openFiles.maxOpenFiles),
        upgradeState,
      ),
      notifier: createNotifier(system, log),
      prepareLogs,
      processorCount: availableCpus(),
      controlSocket,
      createPidfile: (path) => createPidfile(system, path),
      openSourceWatch,
      reapOrphans: createOrphanReaper(system.pid, native),
      version: readPackageVersion(),
      engineDescription: describeEngine(values),
    }).run()
  } catch (error) {
    if (upgradeState?.kind === 'daemon' && error instanceof MonocerosError)
      reportStartError(error.message)
    parent?.channel.close()
    throw error
  } finally {
    controlSocket?.close()
    if (isEmbedded) unsubscribe()
  }
}

// Node raises the soft limit to the hard one when it starts, and workers inherit it.
function readOpenFilesLimit(): { text: string; maxOpenFiles: number } {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const { soft, hard } = parseOpenFileLimits(limits)
    const text = `at most ${soft} per process, hard limit ${hard}`
    return { text, maxOpenFiles: Number(soft) || Number.POSITIVE_INFINITY }
  } catch {
    // Not Linux.
    return { text: 'the limit is unknown on this system', maxOpenFiles: Number.POSITIVE_INFINITY }
  }
}

function openParentProcess(state: UpgradeState | undefined): ParentProcess | undefined {
  if (state === undefined) return undefined
  return { kind: state.kind, pid: state.pid, channel: system.openParentChannel() }
}

// The sockets come from an older arbiter, from systemd, or are opened by this process.
function createOpener(
  { log, hooks }: { log: Logger; hooks: ArbiterHooks },
  state: UpgradeState | undefined,
) {
  const activated = takeActivatedSockets(system.env, system.pid)
  const listeners = state?.listeners ?? activated.map(({ fd }) => ({ fd, bind: `fd://${fd}` }))
  const isSocketActivated = state?.activated ?? activated.length > 0
  for (const { fd, name } of activated) {
    logLine(log, 'socketFromSystemd', fd, name === undefined ? '' : ` (${name})`)
  }
  return {
    isSocketActivated,
    openGeneration: createGenerationOpener(
      { system, log, hooks },
      { listeners, isSocketActivated, metrics: state?.metrics },
    ),
  }
}

/**
 * Creates the log files and gives them to the user of the workers, which may lack the right to
 * create them.
 */
function prepareLogs(config: Config): void {
  const owner = resolveOwner(config)
  for (const name of ['errorlog', 'accesslog'] as const) {
    const path = config[name]
    if (path === null || path === '-') continue
    try {
      prepareLogFile(resolve(config.chdir, path), owner)
    } catch (error) {
      if (error instanceof MonocerosError) throw error
      const problem = error instanceof Error ? error.message : String(error)
      throw monocerosError('ERR_LOG_FILE', name, path, problem).withCause(error)
    }
  }
}

/** Returns the log, which then also passes its errors to `report`. */
function forwardErrors(log: Logger, report: ((text: string) => void) | undefined): Logger {
  if (report === undefined) return log
  const error = log.error.bind(log)
  log.error = (message) => {
    error(message)
    report(message)
  }
  return log
}

/** Creates the scoreboard: in shared memory with the addon, else by messages. */
export function createScoreboard(slots: number, upgradeState?: UpgradeState): ArbiterScoreboard {
  const board =
    native === null ? new MessageScoreboard(system, slots) : new SharedScoreboard(native, slots)
  if (upgradeState?.kind === 'upgrade') board.continueTotals(upgradeState)
  return board
}

function describeEngine({ engine }: Config): string {
  if (engine === 'node' || (engine === 'auto' && native === null)) {
    const why = engine === 'auto' ? ` (the addon does not load: ${nativeFailure})` : ''
    return `node${why}`
  }
  return 'native'
}
