// Each signal with the test that proves what its page states.

import type { SignalName } from '../ts/signals.ts'
import { proof } from './proofs.ts'

const P = 'process'
const SIGNALS_SPEC = `${P}/signals.spec.ts`

export const SIGNAL_PROOFS: Record<SignalName, string> = {
  TERM: proof(SIGNALS_SPEC, 'TERM answers what is in flight and exits with 0'),
  INT: proof('arbiter/arbiter.spec.ts', 'INT limits a graceful stop to two seconds'),
  QUIT: proof(SIGNALS_SPEC, 'cuts what is in flight and exits with 0'),
  HUP: proof(SIGNALS_SPEC, 'HUP takes new settings: workers, environment, addresses'),
  TTIN: proof(`${P}/load.spec.ts`, 'HUP, TTIN and TTOU under load lose nothing'),
  TTOU: proof(`${P}/load.spec.ts`, 'HUP, TTIN and TTOU under load lose nothing'),
  USR1: proof(`${P}/logs.spec.ts`, 'rotation by USR1 loses no line of either log'),
  USR2: proof(`${P}/upgrade.spec.ts`, 'USR2 and TERM to the old arbiter lose nothing'),
  WINCH: proof(`${P}/upgrade.spec.ts`, 'USR2, WINCH and the way back lose nothing'),
  CHLD: proof(`${P}/failures.spec.ts`, 'a killed worker is replaced at once'),
  ABRT: proof(`${P}/hooks.spec.ts`, 'worker_abort is called at ABRT, and the worker ends with 1'),
}
