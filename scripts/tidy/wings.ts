// The wings of the engine crate, and which of them each may import: arrows run down only
// (ARCHITECTURE.md has the table).

import { type Check, type Source, under } from './sources.ts'

const ENGINE = 'crates/engine/src/'
const MAX_ENTRIES = 20

/**
 * What each wing may import of the others. `server` puts everything together and is not limited.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  buffers: [],
  log: ['buffers'],
  scoreboard: ['buffers'],
  watcher: ['buffers', 'log'],
  runtime: ['buffers'],
  pressure: ['buffers', 'scoreboard'],
  transport: ['runtime', 'buffers', 'pressure', 'scoreboard'],
  exchange: ['buffers', 'pressure'],
  guard: ['exchange', 'buffers', 'pressure'],
  bridge: ['exchange', 'runtime', 'buffers', 'pressure'],
  http1: ['exchange', 'buffers', 'pressure', 'guard'],
  http2: ['exchange', 'buffers', 'pressure', 'guard', 'http1'],
}

/** Arrows that still climb: this list may only become shorter. */
const CLIMBING: readonly string[] = [
  'bridge/event_batch/records.rs -> guard::parse_policy',
  'bridge/event_batch/records.rs -> transport::tls',
  'bridge/handoff.rs -> scoreboard',
  'bridge/handoff.rs -> transport::listener',
  'bridge/handoff.rs -> transport::tls',
  'buffers/write_queue.rs -> transport::stream',
  'exchange/response_sink.rs -> bridge::ring',
  'guard/addresses.rs -> transport::listener',
  'guard/mod.rs -> transport::listener',
  'guard/refusal.rs -> bridge::wire',
  'http1/encoder.rs -> bridge::ring',
  'http2/exchange.rs -> server::connection',
  'http2/fields.rs -> bridge::ring',
  'http2/h2_transport.rs -> server::connection',
  'http2/page.rs -> bridge::ring',
  'http2/page.rs -> bridge::wire',
  'http2/response.rs -> bridge::ring',
  'http2/session.rs -> server::connection',
  'http2/stream_admission.rs -> server::connection',
  'log/access/format.rs -> http1::encoder',
  'log/access.rs -> exchange::request_head',
  'pressure/admission.rs -> transport::listener',
  'pressure/limits.rs -> guard::addresses',
  'pressure/limits.rs -> guard::parse_policy',
  'runtime/slot_map.rs -> bridge::wire',
  'transport/stream.rs -> bridge::ring',
  'transport/tls/info.rs -> bridge::wire',
  'watcher/mod.rs -> bridge::in_flight',
]

export const WINGS: readonly Check[] = [
  {
    sentence: `the top of ${ENGINE} has at most ${MAX_ENTRIES} entries`,
    find: (sources) => {
      const entries = new Set(
        under(sources, ENGINE).map(({ path }) => path.slice(ENGINE.length).split('/')[0]),
      )
      return entries.size > MAX_ENTRIES ? [`${ENGINE}: ${entries.size} entries`] : []
    },
  },
  {
    sentence: 'a wing of the engine imports only wings below it, or an arrow that is listed',
    find: (sources) => {
      const found = arrows(sources).filter(({ from, to }) => {
        const allowed = MAY_IMPORT[from]
        return allowed !== undefined && from !== to && !allowed.includes(to)
      })
      const climbing = new Set(found.map(({ path, module }) => `${path} -> ${module}`))
      const isWhole = sources.some(({ path }) => path === `${ENGINE}lib.rs`)
      const gone = isWhole ? CLIMBING.filter((arrow) => !climbing.has(arrow)) : []
      return [
        ...[...climbing].filter((arrow) => !CLIMBING.includes(arrow)),
        ...gone.map((arrow) => `${arrow}: no such arrow; remove it from the list`),
      ]
    },
  },
]

interface Arrow {
  /** The importing file, below the engine's sources. */
  readonly path: string
  readonly from: string
  readonly to: string
  /** The imported module, two levels deep. */
  readonly module: string
}

/** Every `crate::` path of the engine's own code, one for each file and module. */
function arrows(sources: readonly Source[]): Arrow[] {
  return under(sources, ENGINE)
    .filter(({ path }) => path.slice(ENGINE.length).includes('/') && !path.endsWith('/tests.rs'))
    .flatMap(({ path, code }) => {
      const [own = ''] = code.split(/^#\[cfg\(test\)\]\nmod tests/m)
      const from = path.slice(ENGINE.length).split('/')[0] ?? ''
      return [...own.matchAll(/\bcrate::([a-z]\w*)(?:::([a-z]\w*))?/g)]
        .filter(([, to]) => to !== 'error')
        .map(([, to = '', module]) => ({
          path: path.slice(ENGINE.length),
          from,
          to,
          module: module === undefined ? to : `${to}::${module}`,
        }))
    })
}
