/** The settings of "Control". */
import { bool, octal, orNull, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const CONTROL_ROWS = {
  control_socket: {
    section: 'Control',
    flags: ['--control-socket'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'planned',
    doc: 'Path of the control socket.',
  },
  control_socket_mode: {
    section: 'Control',
    flags: ['--control-socket-mode'],
    kind: octal,
    default: 0o600,
    status: 'planned',
    doc: 'File mode of the control socket.',
  },
  control_socket_disable: {
    section: 'Control',
    flags: ['--no-control-socket'],
    kind: bool,
    default: false,
    // There is no control socket yet, so the setting is always fulfilled.
    status: 'inapplicable',
    whenSet: 'ignore',
    reason: 'there is no control socket',
    doc: 'Disables the control socket.',
  },
} as const satisfies Record<string, Row>
