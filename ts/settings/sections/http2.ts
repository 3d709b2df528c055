/** The settings of "HTTP/2". */
import * as z from 'zod/mini'

import {
  bytesUpTo,
  choice,
  integer,
  MAX_COUNT,
  orNull,
  splitNames,
  type ValueKind,
} from '../kinds.ts'
import type { Row } from '../rows.ts'

const NO_UPGRADE = 'RFC 9113 has removed the upgrade from HTTP/1.1 to HTTP/2; use "prior-knowledge"'

/** A list of h1 and h2 without repetition, the preferred protocol first. */
const protocols: ValueKind<string, string> = {
  schema: z.string().check(
    z.refine((names) => {
      const each = splitNames(names)
      const known = each.every((name) => name === 'h1' || name === 'h2')
      return each.length > 0 && known && new Set(each).size === each.length
    }),
  ),
  allowed: '"h1", "h2", "h1,h2" or "h2,h1"',
  placeholder: 'h2,h1',
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
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Protocols in order of preference. The default is h2,h1 with TLS and h1 without. ' +
      'If h2 is included, addresses without TLS accept HTTP/2 from clients that begin with it ' +
      '(prior knowledge). With h2 alone, addresses without TLS accept nothing else. ' +
      'With TLS, HTTP/1.1 is always available to clients without HTTP/2.',
  },
  http2_cleartext: {
    section: 'HTTP/2',
    flags: ['--http2-cleartext'],
    kind: orNull(cleartext),
    default: null,
    status: 'supported',
    readBy: 'worker',
    doc:
      'Whether addresses without TLS accept HTTP/2 from clients that begin with it. ' +
      'The default depends on http_protocols: yes if that includes h2. ' +
      'A request for an upgrade to h2c is an ordinary request.',
  },
  http2_max_concurrent_streams: {
    section: 'HTTP/2',
    flags: ['--http2-max-concurrent-streams'],
    kind: integer(1, 100_000),
    default: 100,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count', node: 'ignored' },
    doc:
      'Maximum number of in-flight requests per connection. ' +
      'A further request is refused in a way that lets the client send it again. ' +
      'Protects against one client that occupies a whole worker.',
  },
  http2_initial_window_size: {
    section: 'HTTP/2',
    flags: ['--http2-initial-window-size'],
    kind: integer(1, 2_147_483_647, 'BYTES'),
    default: 262_144,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', node: 'ignored' },
    doc:
      'Number of body bytes that a client may send before the application reads them. ' +
      'A connection has sixteen times as much for all its requests. ' +
      'An upload transfers at most one window per round trip.',
  },
  http2_max_frame_size: {
    section: 'HTTP/2',
    flags: ['--http2-max-frame-size'],
    kind: integer(16_384, 16_777_215, 'BYTES'),
    default: 16_384,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', node: 'ignored' },
    doc: 'Maximum size of a frame from a client.',
  },
  http2_max_header_list_size: {
    section: 'HTTP/2',
    flags: ['--http2-max-header-list-size'],
    kind: bytesUpTo(MAX_COUNT),
    default: 65_536,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'size', node: 'ignored' },
    doc:
      'Maximum uncompressed size of the header fields of a request, plus 32 bytes per field. ' +
      'A larger request gets a 431; far above the limit, the connection is closed. ' +
      'Protects against fields that are small only while compressed (HPACK bombs), and heads ' +
      'that never end (CONTINUATION floods). 0 is no limit. ' +
      'The request limits (limit_request_fields and so on) apply, too.',
  },
  http2_max_resets: {
    section: 'HTTP/2',
    flags: ['--http2-max-resets'],
    kind: integer(0, MAX_COUNT),
    default: 1000,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count', node: 'ignored' },
    doc:
      'Maximum number of requests that a client cancels before the response, per connection and ' +
      '10 seconds. Then the connection is closed. ' +
      'Protects against rapid reset, where clients start requests only to cancel them ' +
      '(CVE-2023-44487). 0 is no limit.',
  },
  http2_max_idle_frames: {
    section: 'HTTP/2',
    flags: ['--http2-max-idle-frames'],
    kind: integer(0, MAX_COUNT),
    default: 10_000,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'count', node: 'ignored' },
    doc:
      'Maximum number of frames without content, per connection and 10 seconds. ' +
      'Then the connection is closed. ' +
      'These frames are PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA and tiny WINDOW_UPDATE. ' +
      'Protects against floods of them (CVE-2019-9511 to 9518). 0 is no limit.',
  },
} as const satisfies Record<string, Row>
