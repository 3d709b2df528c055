/** The settings of "Control". */
import { bool, octal, orNull, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const CONTROL_ROWS = {
  control_socket: {
    section: 'Control',
    flags: ['--control-socket'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'later',
    doc: 'The socket of the control interface.',
  },
  control_socket_mode: {
    section: 'Control',
    flags: ['--control-socket-mode'],
    kind: octal,
    default: 0o600,
    status: 'later',
    doc: 'The file mode of the control socket.',
  },
  control_socket_disable: {
    section: 'Control',
    flags: ['--no-control-socket'],
    kind: bool,
    default: false,
    // There is no control socket yet, which is what this asks for.
    status: 'none',
    act: 'ignore',
    reason: 'there is no control socket',
    doc: 'Does without a control socket.',
  },
} as const satisfies Record<string, Row>
