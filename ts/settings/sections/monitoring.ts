/** The settings of "Monitoring". */
import { orNull, seconds } from '../kinds.ts'
import { healthPaths, oneBindAddress } from '../network-kinds.ts'
import type { Row } from '../rows.ts'

export const MONITORING_ROWS = {
  metrics_bind: {
    section: 'Monitoring',
    flags: ['--metrics-bind'],
    kind: orNull(oneBindAddress),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Address at which the arbiter serves metrics, health checks and a status page. ' +
      'It has /, /metrics, /livez and /readyz, without TLS and without authentication: ' +
      'use an address that only your monitoring reaches. docs/monitoring.md describes them.',
  },
  health_paths: {
    section: 'Monitoring',
    flags: ['--health-paths'],
    kind: healthPaths,
    default: '',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'text' },
    doc:
      'Paths at which the workers answer health checks, with commas between them. ' +
      'A path ends in /livez or /readyz: /livez,/readyz or /internal/readyz. The native engine ' +
      'answers them without JavaScript, also while the event loop is blocked. ' +
      'The application, the access log and the metrics do not have them.',
  },
  drain_delay: {
    section: 'Monitoring',
    flags: ['--drain-delay'],
    kind: seconds,
    default: 0,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Time between TERM and the stop of the workers, in which /readyz fails. ' +
      'The server still accepts connections, so that a load balancer can remove it first. ' +
      'A second TERM ends the wait. It is in addition to graceful_timeout.',
  },
} as const satisfies Record<string, Row>
