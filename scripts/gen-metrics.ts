/** Generates the Rust layout of the metrics' cells from `ts/metrics/table.ts`. */
import { CELL_RANGES, type CellRange, JAVASCRIPT_CELLS, LOOP_CELLS } from '../ts/metrics/cells.ts'
import {
  DURATION_BOUNDS,
  MAX_SERIES,
  METHODS,
  PROTOCOLS,
  SIZE_BOUNDS,
} from '../ts/metrics/table.ts'
import { docComment, grouped, MAX_COLUMNS } from './gen-rust.ts'

/** Renders `crates/engine/src/scoreboard/layout.rs` in the format of rustfmt. */
export function rustMetricsLayout(): string {
  const counters = CELL_RANGES.filter(({ bounds }) => bounds === undefined)
  const histograms = CELL_RANGES.filter(({ bounds }) => bounds !== undefined)
  const gauges = counters
    .filter(({ row }) => row.kind === 'gauge')
    .flatMap(({ key, values = [''] }) =>
      values.map((value) => `MetricCell::${pascal(key)}${pascal(value)}`),
    )
  return `//! The cells of the metrics in a slot of the scoreboard.
//!
//! Written by scripts/gen-metrics.ts from ts/metrics/table.ts; \`npm run gen\` writes it again.

/// A cell of a counter or a gauge. The number is its index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum MetricCell {
${counters.flatMap(variants).join('')}}

/// A histogram. The number is the index of its first bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Histogram {
${histograms.map((range) => variant(pascal(range.key), range.start, range.row.help)).join('')}}

/// The gauges, which a released slot does not add to the totals.
${constant('GAUGE_CELLS', `[MetricCell; ${gauges.length}]`, gauges)}
/// Number of cells that the thread with the I/O loop writes. They come first.
pub const LOOP_CELLS: usize = ${LOOP_CELLS};
/// Number of cells that the JavaScript thread writes.
pub const JAVASCRIPT_CELLS: usize = ${JAVASCRIPT_CELLS};
/// Upper bounds of durations, in microseconds.
${constant('DURATION_BOUNDS', `[u64; ${DURATION_BOUNDS.length}]`, DURATION_BOUNDS.map(grouped))}
/// Upper bounds of sizes, in bytes.
${constant('SIZE_BOUNDS', `[u64; ${SIZE_BOUNDS.length}]`, SIZE_BOUNDS.map(grouped))}
/// The methods that have a label of their own. The first is for all others.
${constant(
  'METHODS',
  `[&[u8]; ${METHODS.length}]`,
  METHODS.map((method) => `b"${method}"`),
)}
/// The protocol versions.
${constant(
  'PROTOCOLS',
  `[&[u8]; ${PROTOCOLS.length}]`,
  PROTOCOLS.map((version) => `b"${version}"`),
)}
/// Maximum number of combinations of method, status code and protocol.
pub const MAX_SERIES: usize = ${MAX_SERIES};
`
}

function variants(range: CellRange): string[] {
  const { values, start, key, row } = range
  if (values === undefined) return [variant(pascal(key), start, row.help)]
  return values.map((value, index) =>
    variant(pascal(key) + pascal(value), start + index, `${row.help} Label: \`${value}\`.`),
  )
}

function variant(name: string, index: number, help: string): string {
  return `${docComment(help.replaceAll('`', ''), '    ')}    ${name} = ${index},\n`
}

function constant(name: string, type: string, items: readonly string[]): string {
  const line = `pub const ${name}: ${type} = [${items.join(', ')}];`
  if (line.length <= MAX_COLUMNS) return line
  const inner = `    [${items.join(', ')}];`
  if (inner.length <= MAX_COLUMNS) return `pub const ${name}: ${type} =\n${inner}`
  const lines: string[] = []
  let current = '   '
  for (const item of items) {
    // A line of rustfmt's lists has at most 99 columns.
    if (current.length + item.length + 2 >= MAX_COLUMNS) {
      lines.push(current)
      current = '   '
    }
    current += ` ${item},`
  }
  return `pub const ${name}: ${type} = [\n${[...lines, current].join('\n')}\n];`
}

function pascal(text: string): string {
  return text
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
}
