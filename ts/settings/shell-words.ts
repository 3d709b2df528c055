/**
 * Splits MONOCEROS_CMD_ARGS into words as a POSIX shell does, without expansions. We wrote it
 * ourselves because the packages for it either ignore backslashes or return objects for operators
 * (`|`, `>`).
 */
import { monocerosError } from '../errors.ts'

const QUOTE_NAMES: Record<string, string> = { "'": 'single quote', '"': 'double quote' }

/** Splits a text into words, with quotes and backslashes as in a shell. */
export function shellWords(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote: string | undefined
  const letters = [...text]
  for (let at = 0; at < letters.length; at += 1) {
    const letter = letters[at] ?? ''
    const next = letters[at + 1]
    if (quote !== undefined && letter === quote) {
      quote = undefined
    } else if (letter === '\\' && next !== undefined && isEscaped(quote, next)) {
      word = (word ?? '') + next
      at += 1
    } else if (quote === undefined && letter in QUOTE_NAMES) {
      quote = letter
      word ??= ''
    } else if (quote === undefined && /\s/.test(letter)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else {
      word = (word ?? '') + letter
    }
  }
  if (quote !== undefined) throw monocerosError('ERR_CMD_ARGS_QUOTE', QUOTE_NAMES[quote] ?? quote)
  if (word !== undefined) words.push(word)
  return words
}

// POSIX: outside quotes a backslash escapes any character. Within double quotes it escapes only \
// and " (of the characters that matter here), within single quotes none.
function isEscaped(quote: string | undefined, next: string): boolean {
  if (quote === undefined) return true
  return quote === '"' && (next === '"' || next === '\\')
}
