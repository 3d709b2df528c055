/** The settings of "Server Socket". */
import { address, integer, list } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const SERVER_SOCKET_ROWS = {
  bind: {
    section: 'Server Socket',
    flags: ['-b', '--bind'],
    kind: list({ item: address, meta: 'ADDRESS', separator: ',', least: 1 }),
    default: ['127.0.0.1:8000'],
    defaultFrom: {
      variable: 'PORT',
      toText: (port) => `0.0.0.0:${port}`,
      allowed: 'a port number from 0 to 65535',
    },
    status: 'built',
    reads: 'arbiter',
    doc: 'The address to listen on; repeat the flag for several. HOST, HOST:PORT, [IPV6]:PORT, :PORT, tcp://HOST:PORT, unix:PATH or fd://NUMBER. A missing port is 8000, a missing host 0.0.0.0. With a certificate TCP addresses speak TLS; http://HOST:PORT does not, and https://HOST:PORT needs one. In the environment addresses are separated by commas. If PORT is set in the environment, the default is 0.0.0.0:$PORT.',
  },
  listen_port: {
    section: 'Server Socket',
    flags: ['--listen-port'],
    kind: integer(0, 65_535),
    default: 0,
    status: 'built',
    reads: 'worker',
    doc: 'Which server of a program that has several is served at the addresses: the one that listens on this port. 0 is the first that listens. The others listen on the ports that they ask for, in every worker.',
  },
  backlog: {
    section: 'Server Socket',
    flags: ['--backlog'],
    kind: integer(0, 2_147_483_647),
    default: 2048,
    status: 'built',
    reads: 'arbiter',
    doc: 'How many connections may wait in the kernel to be accepted. The kernel caps it (Linux: net.core.somaxconn).',
  },
} as const satisfies Record<string, Row>
