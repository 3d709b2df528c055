/** The kinds of value that settings for development have. */
import * as z from 'zod/mini'

import type { ValueKind } from './kinds.ts'

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 9229
const MAX_PORT = 65_535

/** The address of a debugger. PORT and HOST alone are completed to HOST:PORT. */
export const inspectAddress: ValueKind<string, string> = {
  schema: z.pipe(
    z.string().check(z.refine((text) => completeAddress(text) !== undefined)),
    z.transform((text) => completeAddress(text) ?? text),
  ),
  allowed: 'PORT or HOST:PORT, with a port from 0 to 65535',
  placeholder: '[HOST:]PORT',
  fromText: (text) => text,
  bareFlagValue: `${DEFAULT_HOST}:${DEFAULT_PORT}`,
  requiresEqualsSign: true,
}

function completeAddress(text: string): string | undefined {
  const [, host = '', port = ''] = /^(?:(.*?):)?(\d*)$/.exec(text) ?? /^(.+)$/.exec(text) ?? []
  const number = port === '' ? DEFAULT_PORT : Number(port)
  if (number > MAX_PORT || /[\s/]/.test(host)) return undefined
  return `${host || DEFAULT_HOST}:${number}`
}

/** Translates Gunicorn's `inotify`, the file watcher of Linux, to `fs.watch`. */
export function translateReloadEngine(word: string): string | undefined {
  return word === 'inotify' ? 'fs.watch' : undefined
}
