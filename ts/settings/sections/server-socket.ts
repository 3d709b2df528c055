/** The settings of "Server Socket". */
import { integer, list } from '../kinds.ts'
import { bindAddress } from '../network-kinds.ts'
import type { Row } from '../rows.ts'

export const SERVER_SOCKET_ROWS = {
  bind: {
    section: 'Server Socket',
    flags: ['-b', '--bind'],
    kind: list({ item: bindAddress, placeholder: 'ADDRESS', separator: ',', least: 1 }),
    default: ['127.0.0.1:8000'],
    defaultFrom: {
      variable: 'PORT',
      toText: (port) => `0.0.0.0:${port}`,
      allowed: 'a port number from 0 to 65535',
    },
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Address to listen on; repeat the flag for several. ' +
      'An address is HOST, HOST:PORT, [IPV6]:PORT, :PORT, tcp://HOST:PORT, unix:PATH or ' +
      'fd://NUMBER. The port defaults to 8000, the host to 0.0.0.0. ' +
      'With a certificate, TCP addresses use TLS. ' +
      'http://HOST:PORT never uses TLS; https://HOST:PORT requires a certificate. ' +
      'In the environment, commas separate the addresses. ' +
      'If the environment sets PORT, the default is 0.0.0.0:$PORT.',
  },
  listen_port: {
    section: 'Server Socket',
    flags: ['--listen-port'],
    kind: integer(0, 65_535),
    default: 0,
    status: 'supported',
    readBy: 'worker',
    doc:
      'Port of the server to serve at the bind addresses, if the program has several servers. ' +
      '0 selects the server that listens first. ' +
      'The other servers listen on the ports that they ask for, in every worker.',
  },
  backlog: {
    section: 'Server Socket',
    flags: ['--backlog'],
    kind: integer(0, 2_147_483_647),
    default: 2048,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Maximum number of connections that wait in the kernel to be accepted. ' +
      'The kernel caps the value (Linux: net.core.somaxconn).',
  },
} as const satisfies Record<string, Row>
