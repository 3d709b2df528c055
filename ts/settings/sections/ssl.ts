/** The settings of "SSL". */
import { bool, choice, integer, MAX_COUNT, orNull, seconds, text, textList } from '../kinds.ts'
import type { Row } from '../rows.ts'
import { cipherNames, passwordSource } from '../tls-kinds.ts'

export const SSL_ROWS = {
  keyfile: {
    section: 'SSL',
    flags: ['--keyfile'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Private key of the certificate, in PEM (PKCS #8, PKCS #1 or SEC 1). ' +
      'Without it, certfile must contain the key, too.',
  },
  keyfile_password: {
    section: 'SSL',
    flags: ['--keyfile-password'],
    kind: orNull(passwordSource),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Where to find the password of encrypted private keys. ' +
      'env:NAME is a variable, which workers do not get; file:PATH is a file. ' +
      'The setting never holds the password itself, since settings are printed and logged.',
  },
  certfile: {
    section: 'SSL',
    flags: ['--certfile'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Certificate, in PEM, followed by its chain to a known authority. ' +
      'With it, every TCP address uses TLS (HTTPS), except those that begin with http://. ' +
      'Unix sockets do not use TLS.',
  },
  certificates: {
    section: 'SSL',
    flags: ['--certificate'],
    kind: textList('CERTFILE[:KEYFILE[:OCSPFILE]]'),
    default: [],
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Additional certificate for clients that ask for one of its names (SNI); repeat for ' +
      'several. The value is CERTFILE:KEYFILE, or CERTFILE alone if it contains the key, too. ' +
      'Clients that ask for an unknown name get the first certificate, which is certfile if that ' +
      'is set. ' +
      'Two certificates may have the same names and keys of different kinds: each client gets ' +
      'the one that it supports.',
  },
  ocsp_file: {
    section: 'SSL',
    flags: ['--ocsp-file'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'OCSP response (DER) for the certificate in certfile, for clients that ask for it. ' +
      'A program of yours writes the file; Monoceros reads a new one without a restart.',
  },
  tls_min_version: {
    section: 'SSL',
    flags: ['--tls-min-version'],
    kind: choice(['1.2', '1.3']),
    default: '1.2',
    status: 'supported',
    readBy: 'arbiter',
    doc: 'Oldest version of TLS to accept. Versions before 1.2 are insecure and cannot be enabled.',
  },
  tls_max_version: {
    section: 'SSL',
    flags: ['--tls-max-version'],
    kind: choice(['1.2', '1.3']),
    default: '1.3',
    status: 'supported',
    readBy: 'arbiter',
    doc: 'Newest version of TLS to accept.',
  },
  dev_tls: {
    section: 'SSL',
    flags: ['--dev-tls'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Uses TLS with a self-signed certificate for localhost, for development. ' +
      'It is created at the first start and stored below the cache directory of the user; the ' +
      'log shows the path. A certificate that another setting names takes precedence.',
  },
  ssl_version: {
    section: 'SSL',
    flags: ['--ssl-version'],
    kind: orNull(text('VERSION')),
    default: null,
    status: 'inapplicable',
    whenSet: 'warn',
    reason: 'Gunicorn ignores it too since version 21; use tls_min_version and tls_max_version',
    doc: 'Version of TLS.',
  },
  cert_reqs: {
    section: 'SSL',
    flags: ['--cert-reqs'],
    kind: integer(0, 2),
    default: 0,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Whether clients are asked for a certificate: 0 is no, 1 is optional, 2 is required. ' +
      'With 1 and 2, the handshake fails for a certificate that no authority in ca_certs vouches ' +
      'for.',
  },
  ca_certs: {
    section: 'SSL',
    flags: ['--ca-certs'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Authorities for the certificates of clients, in PEM. ' +
      'cert_reqs decides whether clients are asked for one.',
  },
  crl_file: {
    section: 'SSL',
    flags: ['--crl-file'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Revocation lists of the authorities in ca_certs, in PEM. ' +
      'With it, every authority in the chain of a client needs a list that has not expired, else ' +
      'the client is rejected. ' +
      'A new file is read without a restart and applies to resumed sessions, too.',
  },
  suppress_ragged_eofs: {
    section: 'SSL',
    flags: ['--suppress-ragged-eofs'],
    kind: bool,
    default: true,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Treats the end of a TLS connection without close_notify as a regular end. ' +
      'An incomplete request is discarded in any case. ' +
      'The setting matters for an application that has taken over a connection (WebSocket, ' +
      'CONNECT): it sees an end or an abort.',
  },
  handshake_timeout: {
    section: 'SSL',
    flags: ['--handshake-timeout'],
    kind: seconds,
    default: 10,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'duration' },
    doc:
      'Maximum time for the TLS handshake, from the accept. Then the connection is closed. ' +
      'Protects against clients that connect and do not continue. 0 is no limit.',
  },
  limit_handshakes: {
    section: 'SSL',
    flags: ['--limit-handshakes'],
    kind: integer(1, MAX_COUNT),
    default: 1000,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count', node: 'ignored' },
    doc:
      'Maximum number of TLS handshakes in progress per worker. ' +
      'One more evicts the oldest, if that has taken a second or more. ' +
      'So clients that stall hold up no others, and many clients that come at once are let in. ' +
      'At four times the limit, the oldest is evicted in any case.',
  },
  do_handshake_on_connect: {
    section: 'SSL',
    flags: ['--do-handshake-on-connect'],
    kind: bool,
    default: false,
    status: 'inapplicable',
    whenSet: 'warn',
    reason: 'the handshake never blocks anything',
    doc: 'When the handshake takes place.',
  },
  ciphers: {
    section: 'SSL',
    flags: ['--ciphers'],
    kind: orNull(cipherNames),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Cipher suites of TLS, the preferred one first. ' +
      'The value has names of OpenSSL or IANA, separated by colons or commas. ' +
      'Only these suites are offered: without a suite of TLS 1.3, there is no TLS 1.3. ' +
      'The default is all suites. The native engine prefers AES-128, then AES-256, unless the ' +
      'client prefers ChaCha20.',
  },
} as const satisfies Record<string, Row>
