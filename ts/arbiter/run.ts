/** The arbiter with its real parts: what the command line starts. */

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { createLogger } from '../log/logger.ts'
import { native, nativeFailure } from '../native/index.ts'
import { system } from '../process/system.ts'
import { setTitle } from '../process/title.ts'
import { type ArbiterBoard, slotsFor } from '../scoreboard/board.ts'
import { MessageBoard } from '../scoreboard/messages.ts'
import { SharedBoard } from '../scoreboard/shared.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import { Arbiter } from './arbiter.ts'
import { generationOpener } from './generation.ts'
import { orphanReaper } from './orphans.ts'
import { createPidfile } from './pidfile.ts'

/** Runs an arbiter until it is told to stop; the result is the exit status. `load` is called again at each reload. */
export async function runArbiter(load: () => Promise<ResolvedConfig>): Promise<number> {
  const resolved = await load()
  const { values } = resolved
  const log = createLogger(values)
  const arbiter = new Arbiter(system, {
    resolved,
    load,
    log,
    open: generationOpener({ system, log }),
    board: createBoard(slotsFor(values.workers)),
    setTitle,
    createPidfile: (path) => createPidfile(system, resolve(values.chdir, path)),
    reapOrphans: orphanReaper(system.pid, native),
    version: packageVersion(),
    engine: engineForLog(values),
  })
  return arbiter.run()
}

/** The scoreboard that this system can have. */
export function createBoard(slots: number): ArbiterBoard {
  return native === null ? new MessageBoard(system, slots) : new SharedBoard(native, slots)
}

function engineForLog({ engine }: Config): string {
  if (engine === 'node' || (engine === 'auto' && native === null)) {
    const why = engine === 'auto' ? ` (the addon does not load: ${nativeFailure})` : ''
    return `node${why}`
  }
  return 'native'
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  return version
}
