/** The settings of "Hooks". */
import { HOOKS, type HookName } from '../../hooks/table.ts'
import { hookFunction, hookOf } from '../hook-kinds.ts'
import type { Row } from '../rows.ts'

export const HOOKS_ROWS = {
  on_starting: hook('on_starting'),
  on_reload: hook('on_reload'),
  when_ready: hook('when_ready'),
  pre_fork: hook('pre_fork'),
  post_fork: hook('post_fork'),
  post_worker_init: hook('post_worker_init'),
  worker_int: hook('worker_int'),
  worker_abort: hook('worker_abort'),
  pre_exec: hook('pre_exec'),
  pre_request: hook('pre_request'),
  post_request: hook('post_request'),
  child_exit: hook('child_exit'),
  worker_exit: hook('worker_exit'),
  nworkers_changed: hook('nworkers_changed'),
  on_exit: hook('on_exit'),
  ssl_context: hook('ssl_context'),
  on_dirty_starting: laterHook('Called before the task pool starts.'),
  dirty_post_fork: laterHook('Called at the start of a process in the task pool.'),
  dirty_worker_init: laterHook(
    'Called in a process of the task pool after it has loaded its applications.',
  ),
  dirty_worker_exit: laterHook('Called when a process of the task pool exits.'),
} as const satisfies Record<string, Row>

function hook<const N extends HookName>(name: N) {
  const { doc, process: readBy } = HOOKS[name]
  const kind = hookOf<N>()
  return { section: 'Hooks', kind, default: null, status: 'supported', readBy, doc } as const
}

function laterHook(doc: string) {
  return { section: 'Hooks', kind: hookFunction, default: null, status: 'planned', doc } as const
}
