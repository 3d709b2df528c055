/** The settings of "HTTP/2". */
import * as z from 'zod/mini'

import { bytesUpTo, choice, integer, type Kind, MAX_COUNT, orNull, splitNames } from '../kinds.ts'
import type { Row } from '../rows.ts'

const NO_UPGRADE =
  'HTTP/2 has no upgrade from HTTP/1.1 any more (RFC 9113): clients without TLS use prior knowledge'

/** The versions of HTTP, the preferred one first. */
const protocols: Kind<string, string> = {
  schema: z.string().check(
    z.refine((names) => {
      const each = splitNames(names)
      const known = each.every((name) => name === 'h1' || name === 'h2')
      return each.length > 0 && known && new Set(each).size === each.length
    }),
  ),
  allowed: '"h1", "h2", "h1,h2" or "h2,h1"',
  meta: 'h2,h1',
  fromText: (names) => names.toLowerCase(),
}

const cleartext = {
  ...choice(['off', 'prior-knowledge']),
  problem: (word: string) => (word === 'upgrade' || word === 'both' ? NO_UPGRADE : undefined),
}

export const HTTP2_ROWS = {
  http_protocols: {
    section: 'HTTP/2',
    flags: ['--http-protocols'],
    kind: orNull(protocols),
    default: null,
    status: 'built',
    reads: 'arbiter and worker',
    doc: 'The protocols, in order of preference. Without it h2,h1 with TLS and h1 without. With h2 in it addresses without TLS, too, speak HTTP/2 with clients that begin with it (prior knowledge); with h2 alone they speak nothing else. With TLS, HTTP/1.1 is always there for clients that do not take HTTP/2.',
  },
  http2_cleartext: {
    section: 'HTTP/2',
    flags: ['--http2-cleartext'],
    kind: orNull(cleartext),
    default: null,
    status: 'built',
    reads: 'worker',
    doc: 'Whether addresses without TLS, too, speak HTTP/2 with clients that begin with it. Without it: if http_protocols names h2. What asks for an upgrade to h2c is an ordinary request.',
  },
  http2_max_concurrent_streams: {
    section: 'HTTP/2',
    flags: ['--http2-max-concurrent-streams'],
    kind: integer(1, 100_000),
    default: 100,
    status: 'built',
    reads: 'worker',
    doc: 'The requests that a connection may have in hand at a time. A further one is refused so that the client may send it again. Against one client that takes all of a worker.',
  },
  http2_initial_window_size: {
    section: 'HTTP/2',
    flags: ['--http2-initial-window-size'],
    kind: integer(1, 2_147_483_647, 'BYTES'),
    default: 262_144,
    status: 'built',
    reads: 'worker',
    doc: "Bytes of a request's body that a client may send before the application has read them. A connection has sixteen times as much for all its requests. An upload gets no further than one window in a round trip.",
  },
  http2_max_frame_size: {
    section: 'HTTP/2',
    flags: ['--http2-max-frame-size'],
    kind: integer(16_384, 16_777_215, 'BYTES'),
    default: 16_384,
    status: 'built',
    reads: 'worker',
    doc: 'The longest frame that a client may send.',
  },
  http2_max_header_list_size: {
    section: 'HTTP/2',
    flags: ['--http2-max-header-list-size'],
    kind: bytesUpTo(MAX_COUNT),
    default: 65_536,
    status: 'built',
    reads: 'worker',
    doc: 'Bytes of all header fields of a request once they are uncompressed, with 32 more for each. Beyond it 431 is the answer, and far beyond it the connection is ended. Against fields that are small only as long as they are compressed (HPACK bombs), and heads that never end (CONTINUATION floods). 0 is no limit. The limits of requests (limit_request_fields and so on) hold too.',
  },
  http2_max_resets: {
    section: 'HTTP/2',
    flags: ['--http2-max-resets'],
    kind: integer(0, MAX_COUNT),
    default: 1000,
    status: 'built',
    reads: 'worker',
    doc: 'Requests that a client may take back before they are answered, in 10 seconds on one connection: then the connection is ended. Against clients that begin requests only to take them back (rapid reset, CVE-2023-44487). 0 is no limit.',
  },
  http2_max_idle_frames: {
    section: 'HTTP/2',
    flags: ['--http2-max-idle-frames'],
    kind: integer(0, MAX_COUNT),
    default: 10_000,
    status: 'built',
    reads: 'worker',
    doc: 'Frames that bring nothing, in 10 seconds on one connection: then the connection is ended. They are PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA and tiny WINDOW_UPDATE. Against floods of them (CVE-2019-9511 to 9518). 0 is no limit.',
  },
} as const satisfies Record<string, Row>
