// The certificate of a run: made for it, and the same for every server.

import { alpnProtocols, type TlsMaterial } from '../ts/tls/material.ts'
import { materialFromOptions } from '../ts/tls/options.ts'
import { createSelfSigned } from '../ts/tls/self-signed.ts'

export interface Identity {
  readonly cert: string
  readonly key: string
}

const DAY_MS = 86_400_000

export function makeIdentity(): Identity {
  const now = Date.now()
  const { certificate, key } = createSelfSigned(['localhost', '127.0.0.1'], {
    from: new Date(now - DAY_MS),
    to: new Date(now + 30 * DAY_MS),
  })
  return { cert: certificate, key }
}

/** TLS as the arbiter would hand it to a worker. */
export function materialOf(identity: Identity, protocols: string | null): TlsMaterial {
  return materialFromOptions(identity, {
    ...{ source: 'bench', requiresCloseNotify: false },
    alpnProtocols: alpnProtocols({ http_protocols: protocols }),
  })
}
