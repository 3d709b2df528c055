/**
 * Finds out which values of a file come from `process.env`, so that `monoceros migrate` writes
 * `process.env.NAME` and not the value, which may be a secret.
 *
 * The file is loaded twice. The second time, each variable has a marker as its value. A text with
 * markers comes from those variables.
 */
import { Code } from './draft.ts'

const MARKER = /\uE000(\w+)\uE001/

/** Loads a file; texts in objects that contain variables become templates. */
export async function withExpressions(load: () => Promise<unknown>): Promise<unknown> {
  const original = process.env
  // A variable that the file itself sets, for example with dotenv, is unknown to the new file.
  const given = new Set(Object.keys(original))
  const read = new Set<string>()
  // A property of process.env cannot be defined in the way that a proxy does by default.
  const set = (target: NodeJS.ProcessEnv, name: string | symbol, value: unknown) =>
    Reflect.set(target, name, value)
  try {
    process.env = new Proxy(original, {
      set,
      get: (target, name) => {
        const value = Reflect.get(target, name)
        if (typeof name === 'string' && given.has(name)) read.add(name)
        return value
      },
    })
    const loaded = await load()
    process.env = new Proxy(original, {
      set,
      get: (target, name) => {
        const isMarked = typeof name === 'string' && read.has(name) && /^\w+$/.test(name)
        return isMarked ? `\uE000${name}\uE001` : Reflect.get(target, name)
      },
    })
    // The file may not accept a marker, for example as a number. Then its values are used.
    const marked = await load().catch(() => loaded)
    return replaceMarked(loaded, marked, original)
  } finally {
    process.env = original
  }
}

function replaceMarked(value: unknown, marked: unknown, env: NodeJS.ProcessEnv): unknown {
  if (typeof value === 'string' && typeof marked === 'string') {
    return expressionOf(value, marked, env)
  }
  if (typeof value !== 'object' || value === null) return value
  if (typeof marked !== 'object' || marked === null) return value
  if (Array.isArray(value)) {
    return value.map((item, index) => replaceMarked(item, Reflect.get(marked, index), env))
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      replaceMarked(item, Reflect.get(marked, key), env),
    ]),
  )
}

function expressionOf(value: string, marked: string, env: NodeJS.ProcessEnv): unknown {
  // Odd items are the names of variables.
  const pieces = marked.split(MARKER)
  const restored = pieces.map((piece, index) => (index % 2 === 1 ? (env[piece] ?? '') : piece))
  if (pieces.length === 1 || restored.join('') !== value) return value
  const text = pieces
    .map((piece, index) => {
      if (index % 2 === 1) return `\${process.env.${piece} ?? ''}`
      return JSON.stringify(piece)
        .slice(1, -1)
        .replaceAll('\\"', '"')
        .replace(/`|\$\{/g, '\\$&')
    })
    .join('')
  return new Code(text, value)
}
