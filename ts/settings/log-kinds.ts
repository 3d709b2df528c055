/** The kinds of value that only settings of the logs have. */
import * as z from 'zod/mini'

import { isStatsdHost } from '../log/statsd.ts'
import { isSyslogAddress } from '../log/syslog.ts'
import type { Kind } from './kinds.ts'

/** Where syslog listens. */
export const syslogAddress: Kind<string, string> = {
  schema: z.string().check(z.refine(isSyslogAddress)),
  allowed: 'udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, perhaps with #dgram or #stream',
  meta: 'ADDRESS',
  fromText: (text) => text,
}

/** Where statsd listens. */
export const statsdAddress: Kind<string, string> = {
  schema: z.string().check(z.refine(isStatsdHost)),
  allowed: 'HOST, HOST:PORT or unix://PATH',
  meta: 'ADDRESS',
  fromText: (text) => text,
}
