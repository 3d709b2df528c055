/** The settings of "Monitoring". */
import { orNull } from '../kinds.ts'
import { oneBindAddress } from '../network-kinds.ts'
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
      'Address at which the arbiter serves metrics and health checks. ' +
      'It has /metrics, /livez and /readyz, without TLS and without authentication: ' +
      'use an address that only your monitoring reaches. docs/monitoring.md describes them.',
  },
} as const satisfies Record<string, Row>
