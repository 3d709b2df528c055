/**
 * "Did you mean": the known word nearest to an unknown one.
 */

/** `; did you mean X?` when a known word is near enough to be meant, else nothing. */
export function didYouMean(word: string, known: Iterable<string>, show = quoted): string {
  const found = nearest(word, known)
  return found === undefined ? '' : `; did you mean ${show(found)}?`
}

/** The known word nearest to this one, or undefined when none is near. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const wanted = plain(word)
  // A third of the letters may differ; in short words one, else every word would be near.
  let limit = Math.max(1, Math.floor(wanted.length / 3)) + 0.5
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

// Levenshtein, one row at a time.
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [row, letter] of [...a].entries()) {
    const current = [row + 1]
    for (const [column, other] of [...b].entries()) {
      const replaced = (previous[column] ?? 0) + (letter === other ? 0 : 1)
      const removed = (previous[column + 1] ?? 0) + 1
      const added = (current[column] ?? 0) + 1
      current.push(Math.min(replaced, removed, added))
    }
    previous = current
  }
  return previous[b.length] ?? a.length
}

function quoted(word: string): string {
  return `"${word}"`
}
