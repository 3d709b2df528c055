/**
 * Reads the statements of a Python file without Python: assignments of literals have a value, all
 * else is text. Nothing is executed.
 */

/** One statement at the top level of the file, or a whole block such as a function. */
export interface Statement {
  /** The text, without the comment at its end. */
  readonly text: string
  /** The name that is assigned or defined; undefined for other statements. */
  readonly name?: string
  /** The expression that is assigned. */
  readonly expression?: string
  /** The value, if the expression is a literal. */
  readonly literal?: { readonly value: unknown }
  readonly isFunction?: true
}

/** The depth of nested lists and dictionaries that are read. */
const MAX_DEPTH = 32

/** An assignment with an optional type, as in `workers: int = 4`. */
const ASSIGNMENT = /^([A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)\s*([\s\S]+)$/
const FUNCTION = /^(?:async\s+)?def\s+(\w+)/
const STRING = /^([rRbBuU]{0,2})("""|'''|"|')/
const NUMBER = /^(?:0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[\d_]*\.?[\d_]+(?:[eE][+-]?\d+)?)/
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\u0007',
  '0': '\0',
  '\n': '',
}
const WORDS = { True: true, False: false, None: null }

/** Splits a file into its statements. */
export function readStatements(source: string): Statement[] {
  const blocks: string[] = []
  for (const { text, isIndented } of logicalLines(source)) {
    const continues = isIndented || /^(?:else|elif|except|finally)\b/.test(text)
    const isDecorated = /^@/.test(blocks.at(-1) ?? '') && !blocks.at(-1)?.includes('\n')
    if (blocks.length > 0 && (continues || isDecorated)) {
      blocks.push(`${blocks.pop()}\n${text}`)
    } else blocks.push(text)
  }
  return blocks.flatMap(readStatement)
}

function readStatement(text: string): Statement[] {
  const defined = FUNCTION.exec(text.replace(/^(?:@.*\n)+/, ''))?.[1]
  if (defined !== undefined) return [{ text, name: defined, isFunction: true }]
  if (/^(?:import|from)\s/.test(text)) return []
  const assignment = ASSIGNMENT.exec(text)
  const [, name = '', expression = ''] = assignment ?? []
  if (assignment === null) return [{ text }]
  const chained = readStatement(expression).filter((one) => one.name !== undefined)
  const [inner] = chained
  if (inner !== undefined && inner.isFunction === undefined) {
    // `a = b = 5` assigns to both.
    return [{ ...inner, name, text }, ...chained]
  }
  const literal = parseLiteral(expression)
  return [{ text, name, expression, ...(literal === undefined ? {} : { literal }) }]
}

/** Parses a literal: texts, numbers, True, False, None, lists, tuples, sets and dictionaries. */
export function parseLiteral(text: string): { value: unknown } | undefined {
  const reader = new LiteralReader(text)
  try {
    const value = reader.readItems()
    return reader.isAtEnd ? { value } : undefined
  } catch (error) {
    if (error instanceof NoLiteral) return undefined
    throw error
  }
}

class NoLiteral extends Error {}

class LiteralReader {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  get isAtEnd(): boolean {
    this.#skipSpace()
    return this.#at === this.#text.length
  }

  /** Reads a value, or values with commas between them: a tuple without parentheses. */
  readItems(): unknown {
    const first = this.#readValue()
    if (!this.#take(',')) return first
    const items = [first]
    while (!this.isAtEnd) {
      items.push(this.#readValue())
      if (!this.#take(',')) break
    }
    return items
  }

  #readValue(): unknown {
    this.#skipSpace()
    const rest = this.#text.slice(this.#at)
    if (STRING.test(rest)) return this.#readStrings()
    const [sign] = /^[+-]\s*/.exec(rest) ?? ['']
    const [number] = NUMBER.exec(rest.slice(sign.length)) ?? []
    if (number !== undefined && /\d/.test(number)) {
      this.#at += sign.length + number.length
      const value = Number(number.replaceAll('_', ''))
      if (Number.isNaN(value) || /^0\d*[1-9]/.test(number)) throw new NoLiteral()
      return sign.startsWith('-') ? -value : value
    }
    for (const [word, value] of Object.entries(WORDS)) {
      if (new RegExp(`^${word}\\b`).test(rest)) {
        this.#at += word.length
        return value
      }
    }
    return this.#readCollection()
  }

  #readCollection(): unknown {
    if (this.#depth === MAX_DEPTH) throw new NoLiteral()
    this.#depth += 1
    const value = this.#take('[')
      ? this.#readList(']')
      : this.#take('(')
        ? this.#readParenthesis()
        : this.#readBraces()
    this.#depth -= 1
    return value
  }

  #readList(close: string): unknown[] {
    const items: unknown[] = []
    while (!this.#take(close)) {
      items.push(this.#readValue())
      if (!this.#take(',')) {
        this.#expect(close)
        break
      }
    }
    return items
  }

  // `(1)` is a number and `(1,)` is a tuple.
  #readParenthesis(): unknown {
    if (this.#take(')')) return []
    const first = this.#readValue()
    if (this.#take(')')) return first
    this.#expect(',')
    return [first, ...this.#readList(')')]
  }

  #readBraces(): unknown {
    this.#expect('{')
    if (this.#take('}')) return {}
    const first = this.#readValue()
    if (!this.#take(':')) {
      if (this.#take('}')) return [first]
      this.#expect(',')
      return [first, ...this.#readList('}')]
    }
    const entries: [string, unknown][] = [[String(first), this.#readValue()]]
    while (!this.#take('}')) {
      this.#expect(',')
      if (this.#take('}')) break
      const key = String(this.#readValue())
      this.#expect(':')
      entries.push([key, this.#readValue()])
    }
    return Object.fromEntries(entries)
  }

  // Texts that follow each other are one text.
  #readStrings(): string {
    let text = ''
    for (;;) {
      this.#skipSpace()
      const opening = STRING.exec(this.#text.slice(this.#at))
      if (opening === null) return text
      const [whole, prefix = '', quote = ''] = opening
      const end = findStringEnd(this.#text, this.#at + whole.length, quote)
      if (end === undefined) throw new NoLiteral()
      const inner = this.#text.slice(this.#at + whole.length, end - quote.length)
      text += /r/i.test(prefix) ? inner : unescapeText(inner)
      this.#at = end
    }
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at += 1
  }

  #take(mark: string): boolean {
    this.#skipSpace()
    if (!this.#text.startsWith(mark, this.#at)) return false
    this.#at += mark.length
    return true
  }

  #expect(mark: string): void {
    if (!this.#take(mark)) throw new NoLiteral()
  }
}

function unescapeText(text: string): string {
  return text.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|([\s\S]))/g,
    (whole, hex?: string, unicode?: string, letter = '') => {
      const code = hex ?? unicode
      if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
      if (letter === '\\' || letter === '"' || letter === "'") return letter
      return ESCAPES[letter] ?? whole
    },
  )
}

interface LogicalLine {
  readonly text: string
  readonly isIndented: boolean
}

// Lines within brackets, within a text of three quotes or after a backslash belong together.
function logicalLines(source: string): LogicalLine[] {
  const text = source.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
  const lines: LogicalLine[] = []
  let line = ''
  let depth = 0
  const finish = () => {
    if (line.trim() !== '') lines.push({ text: line.trimEnd(), isIndented: /^\s/.test(line) })
    line = ''
  }
  for (let at = 0; at < text.length; ) {
    const letter = text[at] ?? ''
    const quote = /^(?:"""|'''|"|')/.exec(text.slice(at, at + 3))?.[0]
    if (quote !== undefined) {
      const end = findStringEnd(text, at + quote.length, quote) ?? text.length
      line += text.slice(at, end)
      at = end
      continue
    }
    if (letter === '#') {
      const end = text.indexOf('\n', at)
      at = end === -1 ? text.length : end
      continue
    }
    if (letter === '\\' && text[at + 1] === '\n') {
      line += ' '
      at += 2
      continue
    }
    if ('([{'.includes(letter)) depth += 1
    if (')]}'.includes(letter)) depth = Math.max(0, depth - 1)
    at += 1
    if (depth > 0 || (letter !== '\n' && letter !== ';')) line += letter
    else {
      finish()
      // Space after a semicolon is no indentation.
      while (letter === ';' && text[at] === ' ') at += 1
    }
  }
  finish()
  return lines
}

/** Returns the position after the closing quotes; undefined if there are none. */
function findStringEnd(text: string, from: number, quote: string): number | undefined {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text.startsWith(quote, at)) return at + quote.length
    else if (quote.length === 1 && text[at] === '\n') return undefined
  }
  return undefined
}
