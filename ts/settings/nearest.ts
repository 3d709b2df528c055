/**
 * Finds the known word nearest to an unknown word, for the question "did you mean ...?".
 */

/** Returns the end of a sentence: `; did you mean X?` if a known word is near enough, else `.`. */
export function didYouMean(word: string, known: Iterable<string>, show = quoted): string {
  const found = nearest(word, known)
  return found === undefined ? '.' : `; did you mean ${show(found)}?`
}

/** Returns the known word nearest to this one; undefined if no word is near. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const wanted = normalize(word)
  // A quarter of the letters may differ. In a short word one letter may: more would match any word.
  let limit = Math.max(1, Math.floor(wanted.length / 4)) + 0.5
  let best: string | undefined
  for (const candidate of known) {
    const distance = distanceOf(wanted, normalize(candidate))
    if (distance < limit) {
      limit = distance
      best = candidate
    }
  }
  return best
}

// Names are compared without case and separators.
function normalize(word: string): string {
  return word
    .toLowerCase()
    .replace(/^-+/, '')
    .replaceAll(/[-_\s]/g, '')
}

function distanceOf(a: string, b: string): number {
  if (a === b) return 0
  // An abbreviation ("warn" for "warning") counts as nearer than its missing letters.
  if (a.length >= 3 && b.startsWith(a)) return 0.5
  return editDistance(a, b)
}

// The Levenshtein distance, with two swapped letters as one edit.
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
