/** The kinds of value that only settings of the logs have. */
import * as z from 'zod/mini'

import { compileAccessFormat } from '../log/access-format.ts'
import { isStatsdHost } from '../log/statsd.ts'
import { isSyslogAddress } from '../log/syslog.ts'
import type { ValueKind } from './kinds.ts'

/** Where syslog listens. */
export const syslogAddress: ValueKind<string, string> = {
  schema: z.string().check(z.refine(isSyslogAddress)),
  allowed: 'udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, perhaps with #dgram or #stream',
  placeholder: 'ADDRESS',
  fromText: (text) => text,
}

/** Where statsd listens. */
export const statsdAddress: ValueKind<string, string> = {
  schema: z.string().check(z.refine(isStatsdHost)),
  allowed: 'HOST, HOST:PORT or unix://PATH',
  placeholder: 'ADDRESS',
  fromText: (text) => text,
}

/** A format of access lines. */
export const accessFormat: ValueKind<string, string> = {
  schema: z.string().check(z.minLength(1), z.refine(compiles)),
  allowed: 'a format in which each percent sign begins %(NAME)s or %%',
  placeholder: 'FORMAT',
  fromText: (text) => text,
}

function compiles(format: string): boolean {
  try {
    compileAccessFormat(format)
    return true
  } catch {
    // What is wrong with it, the words for the kind say.
    return false
  }
}
