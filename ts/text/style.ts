/** How text is shown: the width and the colours of a terminal. */

import { DEFAULT_COLUMNS, type Style } from './format.ts'

/** Returns how text is shown on a stream. What is read by a program is complete and plain. */
export function findStyle(
  { isTTY = false, columns }: Pick<Partial<NodeJS.WriteStream>, 'isTTY' | 'columns'>,
  { NO_COLOR: noColor, TERM: term }: NodeJS.ProcessEnv,
): Style {
  const isPlain = noColor !== undefined && noColor !== ''
  return {
    columns: isTTY ? columns || DEFAULT_COLUMNS : Number.POSITIVE_INFINITY,
    hasColor: isTTY && !isPlain && term !== 'dumb',
  }
}
