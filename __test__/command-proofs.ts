// Each command of `monoceros ctl` with the test that runs it on the real program, as in proofs.ts.

import type { CommandName } from '../ts/control/commands.ts'
import { proof } from './proofs.ts'

const COMMANDS_SPEC = 'control/commands.spec.ts'
const DIAGNOSIS_SPEC = 'control/diagnosis.spec.ts'
const DESCRIPTIONS = proof(COMMANDS_SPEC, 'config, listeners and help describe the server')
const FILES = proof(DIAGNOSIS_SPEC, 'profile and heap-snapshot write files')

/** Proofs of commands. */
export const COMMAND_PROOFS: Record<CommandName, string> = {
  status: DESCRIPTIONS,
  workers: DESCRIPTIONS,
  stats: DESCRIPTIONS,
  top: proof(DIAGNOSIS_SPEC, 'top shows the rates of each worker'),
  config: DESCRIPTIONS,
  listeners: DESCRIPTIONS,
  reload: proof(COMMANDS_SPEC, 'reload answers when all workers are new'),
  reopen: proof(COMMANDS_SPEC, 'reopen opens a log file that was moved'),
  scale: proof(COMMANDS_SPEC, 'scale answers when the workers serve'),
  worker: proof(COMMANDS_SPEC, 'worker kill answers when a successor serves'),
  profile: FILES,
  'heap-snapshot': FILES,
  inspect: proof(DIAGNOSIS_SPEC, 'inspect opens a worker to a debugger'),
  shutdown: proof(COMMANDS_SPEC, 'shutdown finishes requests and answers at the end'),
  logs: proof(COMMANDS_SPEC, 'logs prints what the arbiter has logged, and -f follows a file'),
  help: DESCRIPTIONS,
}
