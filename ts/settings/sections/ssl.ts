/** The settings of "SSL". */
import { bool, integer, orNull, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const SSL_ROWS = {
  keyfile: {
    section: 'SSL',
    flags: ['--keyfile'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'later',
    doc: 'The private key for TLS.',
  },
  certfile: {
    section: 'SSL',
    flags: ['--certfile'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'later',
    doc: 'The certificate for TLS.',
  },
  ssl_version: {
    section: 'SSL',
    flags: ['--ssl-version'],
    kind: orNull(text('VERSION')),
    default: null,
    status: 'none',
    act: 'warn',
    reason: 'Gunicorn ignores it too since version 21',
    doc: 'The version of TLS.',
  },
  cert_reqs: {
    section: 'SSL',
    flags: ['--cert-reqs'],
    kind: integer(0, 2),
    default: 0,
    status: 'later',
    doc: 'Whether clients must show a certificate.',
  },
  ca_certs: {
    section: 'SSL',
    flags: ['--ca-certs'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'later',
    doc: 'The authorities for certificates of clients.',
  },
  suppress_ragged_eofs: {
    section: 'SSL',
    flags: ['--suppress-ragged-eofs'],
    kind: bool,
    default: true,
    status: 'later',
    doc: 'Takes the end of a TLS connection without close_notify as normal.',
  },
  do_handshake_on_connect: {
    section: 'SSL',
    flags: ['--do-handshake-on-connect'],
    kind: bool,
    default: false,
    status: 'none',
    act: 'warn',
    reason: 'the handshake never blocks anything',
    doc: 'When the handshake takes place.',
  },
  ciphers: {
    section: 'SSL',
    flags: ['--ciphers'],
    kind: orNull(text('CIPHERS')),
    default: null,
    status: 'later',
    doc: 'The ciphers of TLS.',
  },
} as const satisfies Record<string, Row>
