/**
 * The settings table: every setting, in the order of Gunicorn's documentation, with a file per
 * section. The rows define the flags, the environment variables, the type of the config file, the
 * validation,
 * --help, --print-config, docs/settings.md and the JSON schema.
 *
 * A new row needs a reason: who needs it, and why no default suits everyone.
 */
import { CONFIG_FILE_ROWS } from './sections/config-file.ts'
import { CONTROL_ROWS } from './sections/control.ts'
import { DEBUGGING_ROWS } from './sections/debugging.ts'
import { HOOKS_ROWS } from './sections/hooks.ts'
import { HTTP2_ROWS } from './sections/http2.ts'
import { LOGGING_ROWS } from './sections/logging.ts'
import { MONITORING_ROWS } from './sections/monitoring.ts'
import { PROCESS_NAMING_ROWS } from './sections/process-naming.ts'
import { SECURITY_ROWS } from './sections/security.ts'
import { SERVER_MECHANICS_ROWS } from './sections/server-mechanics.ts'
import { SERVER_SOCKET_ROWS } from './sections/server-socket.ts'
import { SSL_ROWS } from './sections/ssl.ts'
import { TASK_POOL_ROWS } from './sections/task-pool.ts'
import { WORKER_PROCESSES_ROWS } from './sections/worker-processes.ts'

export const TABLE = {
  ...CONFIG_FILE_ROWS,
  ...SERVER_SOCKET_ROWS,
  ...WORKER_PROCESSES_ROWS,
  ...SECURITY_ROWS,
  ...DEBUGGING_ROWS,
  ...SERVER_MECHANICS_ROWS,
  ...LOGGING_ROWS,
  ...MONITORING_ROWS,
  ...PROCESS_NAMING_ROWS,
  ...SSL_ROWS,
  ...HTTP2_ROWS,
  ...TASK_POOL_ROWS,
  ...CONTROL_ROWS,
  ...HOOKS_ROWS,
} as const
