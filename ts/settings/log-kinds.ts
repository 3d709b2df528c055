/** The kinds of value that settings of the logs have. */
import * as z from 'zod/mini'

import { compileAccessFormat } from '../log/access-format.ts'
import { isStatsdHost } from '../log/statsd.ts'
import { isSyslogAddress } from '../log/syslog.ts'
import type { ValueKind } from './kinds.ts'

/** The address of a syslog server. */
export const syslogAddress: ValueKind<string, string> = {
  schema: z.string().check(z.refine(isSyslogAddress)),
  allowed: 'udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, optionally with #dgram or #stream',
  placeholder: 'ADDRESS',
  fromText: (text) => text,
}

/** The address of a statsd server. */
export const statsdAddress: ValueKind<string, string> = {
  schema: z.string().check(z.refine(isStatsdHost)),
  allowed: 'HOST, HOST:PORT or unix://PATH',
  placeholder: 'ADDRESS',
  fromText: (text) => text,
}

/** A format of lines in the access log. */
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
    // The message of the kind describes a valid format.
    return false
  }
}
