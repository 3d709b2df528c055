// Each hook with the test that proves it, as in proofs.ts.

import type { HookName } from '../ts/hooks/table.ts'
import { proof } from './proofs.ts'

const P = 'process'
const HOOKS_SPEC = `${P}/hooks.spec.ts`
const ORDER = proof(`${HOOKS_SPEC}`, 'hooks come in their order and in their process')

/** Proofs of hooks. */
export const HOOK_PROOFS: Record<HookName, string> = {
  on_starting: ORDER,
  on_reload: proof(`${HOOKS_SPEC}`, 'an exception in on_reload gives the reload up'),
  when_ready: ORDER,
  pre_fork: ORDER,
  post_fork: ORDER,
  post_worker_init: ORDER,
  worker_int: ORDER,
  worker_abort: proof(
    `${HOOKS_SPEC}`,
    'worker_abort is called at ABRT, and the worker ends with 1',
  ),
  pre_exec: proof(`${HOOKS_SPEC}`, 'pre_exec is called in the arbiter before a new one is started'),
  pre_request: ORDER,
  post_request: ORDER,
  child_exit: ORDER,
  worker_exit: ORDER,
  nworkers_changed: ORDER,
  on_exit: ORDER,
  ssl_context: proof('tls/development.spec.ts', 'the hook ssl_context can add to the certificates'),
}
