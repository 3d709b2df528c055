/** The settings of "HTTP/2". */
import { bytes, choice, integer, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const HTTP2_ROWS = {
  http_protocols: {
    section: 'HTTP/2',
    flags: ['--http-protocols'],
    kind: text('h1,h2'),
    default: 'h1',
    status: 'later',
    doc: 'The protocols offered, in order of preference.',
  },
  http2_cleartext: {
    section: 'HTTP/2',
    flags: ['--http2-cleartext'],
    kind: choice(['off', 'prior-knowledge', 'upgrade', 'both']),
    default: 'off',
    status: 'later',
    doc: 'HTTP/2 without TLS.',
  },
  http2_max_concurrent_streams: {
    section: 'HTTP/2',
    flags: ['--http2-max-concurrent-streams'],
    kind: integer(1),
    default: 100,
    status: 'later',
    doc: 'The streams of a connection.',
  },
  http2_initial_window_size: {
    section: 'HTTP/2',
    flags: ['--http2-initial-window-size'],
    kind: integer(1, 2_147_483_647, 'BYTES'),
    default: 65_535,
    status: 'later',
    doc: 'The window of a stream.',
  },
  http2_max_frame_size: {
    section: 'HTTP/2',
    flags: ['--http2-max-frame-size'],
    kind: integer(16_384, 16_777_215, 'BYTES'),
    default: 16_384,
    status: 'later',
    doc: 'The largest frame.',
  },
  http2_max_header_list_size: {
    section: 'HTTP/2',
    flags: ['--http2-max-header-list-size'],
    kind: bytes,
    default: 65_536,
    status: 'later',
    doc: 'The largest list of header fields.',
  },
} as const satisfies Record<string, Row>
