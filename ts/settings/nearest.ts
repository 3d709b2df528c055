/**
 * "Did you mean": the known word nearest to an unknown one.
 */

/** The end of a sentence: `; did you mean X?` when a known word is near enough to be meant, else a full stop. */
export function didYouMean(word: string, known: Iterable<string>, show = quoted): string {
  const found = nearest(word, known)
  return found === undefined ? '.' : `; did you mean ${show(found)}?`
}

/** The known word nearest to this one, or undefined when none is near. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const wanted = plain(word)
  // A quarter of the letters may differ; in short words one, else every word would be near.
  let limit = Math.max(1, Math.floor(wanted.length / 4)) + 0.5
  let best: string | undefined
  for (const candidate of known) {
    const distance = distanceOf(wanted, plain(candidate))
    if (distance < limit) {
      limit = distance
      best = candidate
    }
  }
  return best
}

// Capitals and the choice of separator are not what makes two names different.
function plain(word: string): string {
  return word
    .toLowerCase()
    .replace(/^-+/, '')
    .replaceAll(/[-_\s]/g, '')
}

function distanceOf(a: string, b: string): number {
  if (a === b) return 0
  // The beginning of a word ("warn" for "warning") is nearer than its missing letters say.
  if (a.length >= 3 && b.startsWith(a)) return 0.5
  return editDistance(a, b)
}

// Levenshtein's distance, where two letters that changed places count once.
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1]
      const swapped = row > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      current.push(
        Math.min(
          at(rows, row - 1, column - 1) + (same ? 0 : 1),
          at(rows, row - 1, column) + 1,
          (current[column - 1] ?? 0) + 1,
          swapped ? at(rows, row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    rows.push(current)
  }
  return at(rows, a.length, b.length)
}

function at(rows: readonly number[][], row: number, column: number): number {
  return rows[row]?.[column] ?? Number.POSITIVE_INFINITY
}

function quoted(word: string): string {
  return `"${word}"`
}
