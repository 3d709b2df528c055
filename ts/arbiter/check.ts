/**
 * Loads the application in a worker that does not serve, for `--check-config` and `preload_app`.
 */

import { type MonocerosError, monocerosError } from '../errors.ts'
import { createLogger, type Logger } from '../log/logger.ts'
import type { WorkerMessage } from '../messages.ts'
import { system } from '../process/system.ts'
import { MessageScoreboard } from '../scoreboard/messages.ts'
import type { Config } from '../settings/config.ts'
import { TicketSecrets } from '../tls/tickets.ts'
import type { Generation } from './generation.ts'
import { createBootMessage, spawnWorker } from './spawn.ts'
import type { BootFailure } from './worker-handle.ts'

/**
 * Resolves to 0 if the application loads or `stopped` resolves first, else to the exit status of
 * the failure. The log has the reason.
 */
export async function checkApplication(
  config: Config,
  log: Logger = createLogger(config),
  stopped?: Promise<void>,
): Promise<number> {
  const ticketSecrets = new TicketSecrets()
  const generation: Generation = {
    number: 1,
    config,
    givenSettings: [],
    listeners: [],
    ticketSecrets,
  }
  const context = { board: new MessageScoreboard(system, 1), generation, slot: 1 }
  const child = spawnWorker(system, context)
  const problem = await new Promise<BootFailure | undefined>((done) => {
    const failed = ({ message, exit: exitStatus }: MonocerosError) => end({ message, exitStatus })
    const { boot_timeout } = config
    const cancel = system.after(boot_timeout * 1_000, () =>
      failed(monocerosError('ERR_WORKER_BOOT_TIMEOUT', child.pid ?? 0, boot_timeout)),
    )
    const end = (failure?: BootFailure) => {
      cancel()
      done(failure)
    }
    child.onOutput((stream, line) => log.output(child.pid ?? 0, stream, line))
    child.onMessage((message: WorkerMessage) => {
      if (message.type === 'ready') end()
      if (message.type === 'bootFailed') end(message)
    })
    child.onExit(({ code, signal, error }) =>
      failed(monocerosError('ERR_WORKER_BOOT_EXIT', child.pid, error ?? signal ?? `code ${code}`)),
    )
    stopped?.then(() => end())
    child.send(
      createBootMessage(context, { slotGeneration: 1, isCheck: true, age: 1, requestLimit: 0 }),
    )
  })
  if (child.pid !== undefined) system.kill(child.pid, 'KILL')
  if (problem === undefined) return 0
  log.error(problem.message)
  return problem.exitStatus
}
