/** The kinds of value that only settings for development have. */
import * as z from 'zod/mini'

import type { ValueKind } from './kinds.ts'

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 9229
const MAX_PORT = 65_535

/** Where a debugger connects: always HOST:PORT, whatever of it was given. */
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

/** Linux's watcher is the only one that Gunicorn names. */
export function watchEngineOfGunicorn(word: string): string | undefined {
  return word === 'inotify' ? 'fs.watch' : undefined
}
