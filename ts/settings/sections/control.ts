/** The settings of "Control". */
import { bool, octal, orNull, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const CONTROL_ROWS = {
  control_socket: {
    section: 'Control',
    flags: ['--control-socket'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Path of the unix socket for `monoceros ctl`. By default each instance has its own, ' +
      '$XDG_RUNTIME_DIR/monoceros/PID.sock or /tmp/monoceros-UID/PID.sock, and none if that ' +
      'cannot be created. A path that is set and cannot be used is an error. ' +
      'A relative path is relative to chdir. docs/control.md has the details.',
  },
  control_socket_mode: {
    section: 'Control',
    flags: ['--control-socket-mode'],
    kind: octal,
    default: 0o600,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'File mode of the control socket. A user who can write to the socket can stop the server. ' +
      'Only its owner can enter the default directory.',
  },
  control_socket_disable: {
    section: 'Control',
    flags: ['--no-control-socket'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter',
    doc: 'Disables the control socket.',
  },
} as const satisfies Record<string, Row>
