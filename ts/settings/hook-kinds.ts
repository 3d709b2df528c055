/** The kinds of value that hooks have. */
import * as z from 'zod/mini'

import type { HookName } from '../hooks/table.ts'
import type { HookFunctions } from '../hooks/types.ts'
import { text, type ValueKind } from './kinds.ts'

/**
 * A function, or the path of a module that exports one. A function is not JSON, so the value is not
 * sent to workers.
 */
export const hookFunction: ValueKind<unknown, unknown> = {
  schema: z.unknown(),
  allowed: 'a function or the path of a module',
  placeholder: 'MODULE',
  fromText: (path) => path,
}

type Hook<N extends HookName> = HookFunctions[N] | string | null

/** Makes a kind for a hook: a function, or text of the form FILE:EXPORT. */
export function hookOf<N extends HookName>(): ValueKind<Hook<N>, Hook<N>> {
  const location = text()
  return {
    schema: z.custom<Hook<N>, Hook<N>>(
      (value) =>
        value === null || typeof value === 'function' || location.schema.safeParse(value).success,
    ) as ValueKind<Hook<N>, Hook<N>>['schema'],
    allowed: 'a function or FILE:EXPORT',
    placeholder: 'FILE:EXPORT',
    json: { type: 'string' },
    fromText: location.fromText,
  }
}
