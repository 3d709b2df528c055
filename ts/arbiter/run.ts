/** The arbiter with its real parts: what the command line starts. */

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { MonocerosError, monocerosError } from '../errors.ts'
import { backlogWarning } from '../listen/queue.ts'
import { createNotifier, takeActivatedSockets } from '../listen/systemd.ts'
import { prepareLogger } from '../log/custom.ts'
import { logLine } from '../log/log-lines.ts'
import { createLogger, type Logger } from '../log/logger.ts'
import { native, nativeFailure } from '../native/index.ts'
import { type Program, system } from '../process/system.ts'
import { setTitle } from '../process/title.ts'
import { ownerOf, prepareFile } from '../process/user.ts'
import { packageVersion } from '../process/version.ts'
import { type ArbiterBoard, slotsFor } from '../scoreboard/board.ts'
import { MessageBoard } from '../scoreboard/messages.ts'
import { SharedBoard } from '../scoreboard/shared.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import { availableCpus } from '../settings/cpus.ts'
import { Arbiter } from './arbiter.ts'
import { checkApplication } from './check.ts'
import type { Ancestor } from './dependencies.ts'
import { EventQueue } from './events.ts'
import { generationOpener } from './generation.ts'
import { ArbiterHooks } from './hooks.ts'
import { orphanReaper } from './orphans.ts'
import { createPidfile } from './pidfile.ts'
import { openSourceWatch } from './source-watch.ts'
import type { Handover } from './upgrade-state.ts'

/** How this process came to be. */
export interface Start {
  readonly program: Program
  /** What the process that started this one has handed over. */
  readonly handover: Handover | undefined
  /** The process is a program's, which has its signals back at the end. */
  readonly embedded: boolean
}

/** Runs an arbiter until it is told to stop; the result is the exit status. `load` is called again at each reload. */
export async function runArbiter(
  load: () => Promise<ResolvedConfig>,
  { program, handover, embedded }: Start,
): Promise<number> {
  const parent = ancestor(handover)
  // First of all: until then a signal does what the system does by default, and a check may take as long as it likes.
  const queue = new EventQueue()
  const deaf = queue.hear(system)
  // What a program of the settings loads may never be there.
  const isStoppedBefore = (step: Promise<unknown>) =>
    Promise.race([step.then(() => false), queue.asked('stop', 'quit').then(() => true)])
  // An error of the start goes to whoever waits for the daemon, too.
  const tell = (text: string) => parent?.link.send({ type: 'trouble', text })
  try {
    const resolved = await load()
    const { values } = resolved
    if (await isStoppedBefore(prepareLogger(values))) return 0
    const log = echoing(createLogger(values), handover?.kind === 'daemon' ? tell : undefined)
    // With `reload` a failure is a page and no end.
    if (values.preload_app && !values.reload) {
      const status = await checkApplication(values, log, queue.asked('stop', 'quit'))
      if (status !== 0) return status
    }
    const openFiles = openFilesLimit()
    logLine(log, 'openFileLimit', openFiles.text)
    const warning = backlogWarning(values.backlog)
    if (warning !== undefined) log.warning(warning)
    const hooks = new ArbiterHooks(log)
    if (await isStoppedBefore(hooks.prepare(resolved))) return 0
    return await new Arbiter(system, {
      ...{ resolved, log, queue, program, parent, setTitle, hooks },
      load: async () => {
        const again = await load()
        await prepareLogger(again.values)
        await hooks.prepare(again)
        return again
      },
      ...openingParts({ log, hooks }, handover),
      further: handover?.further ?? [],
      board: createBoard(slotsFor(values.workers, openFiles.most), handover),
      notifier: createNotifier(system, log),
      prepareLogs,
      processors: availableCpus(),
      createPidfile: (path) => createPidfile(system, path),
      openWatch: openSourceWatch,
      reapOrphans: orphanReaper(system.pid, native),
      version: packageVersion(),
      engine: engineForLog(values),
    }).run()
  } catch (error) {
    if (handover?.kind === 'daemon' && error instanceof MonocerosError) tell(error.message)
    parent?.link.close()
    throw error
  } finally {
    if (embedded) deaf()
  }
}

// Node itself raises the limit to the hard one when it starts, and workers have the arbiter's.
function openFilesLimit(): { text: string; most: number } {
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

function ancestor(handover: Handover | undefined): Ancestor | undefined {
  if (handover === undefined) return undefined
  return { kind: handover.kind, pid: handover.pid, link: system.openParent() }
}

// Sockets come from an older arbiter, from systemd, or are opened here.
function openingParts(
  { log, hooks }: { log: Logger; hooks: ArbiterHooks },
  handover: Handover | undefined,
) {
  const activated = takeActivatedSockets(system.env, system.pid)
  const listeners = handover?.listeners ?? activated.map(({ fd }) => ({ fd, bind: `fd://${fd}` }))
  const inherited = { listeners, activated: handover?.activated ?? activated.length > 0 }
  for (const { fd, name } of activated) {
    logLine(log, 'socketFromSystemd', fd, name === undefined ? '' : ` (${name})`)
  }
  return {
    activated: inherited.activated,
    open: generationOpener({ system, log, hooks }, inherited),
  }
}

/** Makes the logs and gives them to the user of the workers, who could not make them. */
function prepareLogs(config: Config): void {
  const owner = ownerOf(config)
  for (const name of ['errorlog', 'accesslog'] as const) {
    const path = config[name]
    if (path === null || path === '-') continue
    try {
      prepareFile(resolve(config.chdir, path), owner)
    } catch (error) {
      if (error instanceof MonocerosError) throw error
      const problem = error instanceof Error ? error.message : String(error)
      throw monocerosError('ERR_LOG_FILE', name, path, problem).withCause(error)
    }
  }
}

/** A log whose errors are told to somebody else as well. */
function echoing(log: Logger, tell: ((text: string) => void) | undefined): Logger {
  if (tell === undefined) return log
  const error = log.error.bind(log)
  log.error = (message) => {
    error(message)
    tell(message)
  }
  return log
}

/** The scoreboard that this system can have. */
export function createBoard(slots: number, handover?: Handover): ArbiterBoard {
  if (native === null) return new MessageBoard(system, slots)
  const board = new SharedBoard(native, slots)
  if (handover?.totals !== undefined) board.absorb(handover.totals)
  return board
}

function engineForLog({ engine }: Config): string {
  if (engine === 'node' || (engine === 'auto' && native === null)) {
    const why = engine === 'auto' ? ` (the addon does not load: ${nativeFailure})` : ''
    return `node${why}`
  }
  return 'native'
}
