/** The settings of "Task Pool", Gunicorn's "dirty arbiters". */
import { integer, seconds, textList } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const TASK_POOL_ROWS = {
  dirty_apps: {
    section: 'Task Pool',
    flags: ['--dirty-app'],
    kind: textList('MODULE'),
    default: [],
    status: 'planned',
    doc: 'Applications of the task pool.',
  },
  dirty_workers: {
    section: 'Task Pool',
    flags: ['--dirty-workers'],
    kind: integer(0),
    default: 0,
    status: 'planned',
    doc: 'Number of processes in the task pool.',
  },
  dirty_timeout: {
    section: 'Task Pool',
    flags: ['--dirty-timeout'],
    kind: seconds,
    default: 300,
    status: 'planned',
    doc: 'Maximum duration of a task.',
  },
  dirty_threads: {
    section: 'Task Pool',
    flags: ['--dirty-threads'],
    kind: integer(0),
    default: 1,
    status: 'planned',
    doc: 'Number of threads per process of the task pool.',
  },
  dirty_graceful_timeout: {
    section: 'Task Pool',
    flags: ['--dirty-graceful-timeout'],
    kind: seconds,
    default: 30,
    status: 'planned',
    doc: 'Time to finish running tasks before the task pool is killed.',
  },
} as const satisfies Record<string, Row>
