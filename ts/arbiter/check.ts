/** `--check-config`: loads the application in a worker that does not serve, and says whether it could. */

import { monocerosError } from '../errors.ts'
import { createLogger } from '../log/logger.ts'
import type { WorkerMessage } from '../messages.ts'
import { system } from '../process/system.ts'
import { MessageBoard } from '../scoreboard/messages.ts'
import type { Config } from '../settings/config.ts'
import type { Generation } from './generation.ts'
import { bootMessage, spawnWorker } from './spawn.ts'

/** 0 when the application loads, 1 when it does not; the log says why. */
export async function checkApplication(config: Config): Promise<number> {
  const log = createLogger(config)
  const generation: Generation = { number: 1, config, listeners: [] }
  const context = { board: new MessageBoard(system, 1), generation, slot: 1 }
  const child = spawnWorker(system, context)
  const problem = await new Promise<string | undefined>((done) => {
    const cancel = system.after(config.boot_timeout * 1_000, () => {
      done(monocerosError('ERR_WORKER_BOOT_TIMEOUT', child.pid ?? 0, config.boot_timeout).message)
    })
    const end = (text?: string) => {
      cancel()
      done(text)
    }
    child.onMessage((message: WorkerMessage) => {
      if (message.type === 'ready') end()
      if (message.type === 'failed') end(message.text)
    })
    child.onExit(({ code, signal }) =>
      end(monocerosError('ERR_WORKER_BOOT_EXIT', child.pid, signal ?? `code ${code}`).message),
    )
    child.send(bootMessage(context, { slotGeneration: 1, check: true }))
  })
  if (child.pid !== undefined) system.kill(child.pid, 'KILL')
  if (problem === undefined) return 0
  log.error(problem)
  return 1
}
