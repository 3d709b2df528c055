/** The arbiter with its real parts: what the command line starts. */

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { MonocerosError, monocerosError } from '../errors.ts'
import { backlogWarning } from '../listen/queue.ts'
import { createNotifier, takeActivatedSockets } from '../listen/systemd.ts'
import { loadCustomLogger } from '../log/custom.ts'
import { logLine } from '../log/log-lines.ts'
import { createLogger, type Logger } from '../log/logger.ts'
import { native, nativeFailure } from '../native/index.ts'
import { type Program, system } from '../process/system.ts'
import { setTitle } from '../process/title.ts'
import { prepareLogFile, resolveOwner } from '../process/user.ts'
import { packageVersion } from '../process/version.ts'
import { type ArbiterScoreboard, slotCountFor } from '../scoreboard/board.ts'
import { MessageScoreboard } from '../scoreboard/messages.ts'
import { SharedScoreboard } from '../scoreboard/shared.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import { availableCpus } from '../settings/cpus.ts'
import { Arbiter } from './arbiter.ts'
import { checkApplication } from './check.ts'
import type { ParentProcess } from './dependencies.ts'
import { EventQueue } from './events.ts'
import { createGenerationOpener } from './generation.ts'
import { ArbiterHooks } from './hooks.ts'
import { createOrphanReaper } from './orphans.ts'
import { createPidfile } from './pidfile.ts'
import { openSourceWatch } from './source-watch.ts'
import type { UpgradeState } from './upgrade-state.ts'

/** How this process came to be. */
export interface ArbiterStart {
  readonly program: Program
  /** What the process that started this one has handed over. */
  readonly upgradeState: UpgradeState | undefined
  /** The process is a program's, which has its signals back at the end. */
  readonly isEmbedded: boolean
}

/** Runs an arbiter until it is told to stop; the result is the exit status. `load` is called again at each reload. */
export async function runArbiter(
  load: () => Promise<ResolvedConfig>,
  { program, upgradeState, isEmbedded }: ArbiterStart,
): Promise<number> {
  const parent = openParentProcess(upgradeState)
  // First of all: until then a signal does what the system does by default, and a check may take as long as it likes.
  const queue = new EventQueue()
  const deaf = queue.subscribeToSignals(system)
  // What a program of the settings loads may never be there.
  const isStoppedBefore = (step: Promise<unknown>) =>
    Promise.race([step.then(() => false), queue.waitForSignal('stop', 'quit').then(() => true)])
  // An error of the start goes to whoever waits for the daemon, too.
  const tell = (text: string) => parent?.channel.send({ type: 'startError', text })
  try {
    const settings = await load()
    const { values } = settings
    if (await isStoppedBefore(loadCustomLogger(values))) return 0
    const log = forwardErrors(
      createLogger(values),
      upgradeState?.kind === 'daemon' ? tell : undefined,
    )
    // With `reload` a failure is a page and no end.
    if (values.preload_app && !values.reload) {
      const status = await checkApplication(values, log, queue.waitForSignal('stop', 'quit'))
      if (status !== 0) return status
    }
    const openFiles = readOpenFilesLimit()
    logLine(log, 'openFileLimit', openFiles.text)
    const warning = backlogWarning(values.backlog)
    if (warning !== undefined) log.warning(warning)
    const hooks = new ArbiterHooks(log)
    if (await isStoppedBefore(hooks.load(settings))) return 0
    return await new Arbiter(system, {
      ...{ settings, log, queue, program, parent, setTitle, hooks },
      loadSettings: async () => {
        const again = await load()
        await loadCustomLogger(again.values)
        await hooks.load(again)
        return again
      },
      ...createOpener({ log, hooks }, upgradeState),
      inheritedExtraListeners: upgradeState?.further ?? [],
      scoreboard: createScoreboard(slotCountFor(values.workers, openFiles.most), upgradeState),
      notifier: createNotifier(system, log),
      prepareLogs,
      processorCount: availableCpus(),
      createPidfile: (path) => createPidfile(system, path),
      openSourceWatch,
      reapOrphans: createOrphanReaper(system.pid, native),
      version: packageVersion(),
      engineDescription: describeEngine(values),
    }).run()
  } catch (error) {
    if (upgradeState?.kind === 'daemon' && error instanceof MonocerosError) tell(error.message)
    parent?.channel.close()
    throw error
  } finally {
    if (isEmbedded) deaf()
  }
}

// Node itself raises the limit to the hard one when it starts, and workers have the arbiter's.
function readOpenFilesLimit(): { text: string; most: number } {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const [, soft, hard] = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(limits) ?? []
    const text = `at most ${soft} a process, of ${hard} that the system allows`
    return { text, most: Number(soft) || Number.POSITIVE_INFINITY }
  } catch {
    // Not Linux.
    return { text: 'the limit is not known here', most: Number.POSITIVE_INFINITY }
  }
}

function openParentProcess(handover: UpgradeState | undefined): ParentProcess | undefined {
  if (handover === undefined) return undefined
  return { kind: handover.kind, pid: handover.pid, channel: system.openParentChannel() }
}

// Sockets come from an older arbiter, from systemd, or are opened here.
function createOpener(
  { log, hooks }: { log: Logger; hooks: ArbiterHooks },
  handover: UpgradeState | undefined,
) {
  const activated = takeActivatedSockets(system.env, system.pid)
  const listeners = handover?.listeners ?? activated.map(({ fd }) => ({ fd, bind: `fd://${fd}` }))
  const isSocketActivated = handover?.activated ?? activated.length > 0
  for (const { fd, name } of activated) {
    logLine(log, 'socketFromSystemd', fd, name === undefined ? '' : ` (${name})`)
  }
  return {
    isSocketActivated,
    openGeneration: createGenerationOpener(
      { system, log, hooks },
      { listeners, isSocketActivated },
    ),
  }
}

/** Makes the logs and gives them to the user of the workers, who could not make them. */
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

/** A log whose errors are told to somebody else as well. */
function forwardErrors(log: Logger, tell: ((text: string) => void) | undefined): Logger {
  if (tell === undefined) return log
  const error = log.error.bind(log)
  log.error = (message) => {
    error(message)
    tell(message)
  }
  return log
}

/** The scoreboard that this system can have. */
export function createScoreboard(slots: number, handover?: UpgradeState): ArbiterScoreboard {
  if (native === null) return new MessageScoreboard(system, slots)
  const board = new SharedScoreboard(native, slots)
  if (handover?.totals !== undefined) board.addTotals(handover.totals)
  return board
}

function describeEngine({ engine }: Config): string {
  if (engine === 'node' || (engine === 'auto' && native === null)) {
    const why = engine === 'auto' ? ` (the addon does not load: ${nativeFailure})` : ''
    return `node${why}`
  }
  return 'native'
}
