/**
 * The layout of the metrics' cells in a worker's slot of the scoreboard: first the cells that the
 * I/O loop writes, then those of the JavaScript thread.
 */

import { type CellColumn, type MetricKey, type MetricRow, metricRows } from './table.ts'

/** Where the cells of a metric are. */
export interface CellRange extends CellColumn {
  readonly key: MetricKey
  readonly row: MetricRow
  /** Index of the first cell among all. */
  readonly start: number
  readonly count: number
}

/** Every metric that has cells, in the order of the cells. */
export const CELL_RANGES: readonly CellRange[] = layOut()

/** Number of cells that the I/O loop writes. */
export const LOOP_CELLS = countCells('loop')

/** Number of cells that the JavaScript thread writes. */
export const JAVASCRIPT_CELLS = countCells('javascript')

/** Returns where the cells of a metric begin and end. */
export function rangeOf(key: MetricKey): { readonly start: number; readonly end: number } {
  const { start = 0, count = 0 } = CELL_RANGES.find((range) => range.key === key) ?? {}
  return { start, end: start + count }
}

function layOut(): CellRange[] {
  let start = 0
  return (['loop', 'javascript'] as const).flatMap((writer) =>
    metricRows().flatMap(([key, row]) => {
      if (row.cells?.writer !== writer) return []
      const { values = [''], bounds } = row.cells
      const count = bounds === undefined ? values.length : bounds.length + 2
      const range = { ...row.cells, key, row, start, count }
      start += count
      return [range]
    }),
  )
}

function countCells(writer: CellColumn['writer']): number {
  return CELL_RANGES.filter((range) => range.writer === writer).reduce(
    (sum, { count }) => sum + count,
    0,
  )
}
