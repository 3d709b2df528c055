/** The kinds of value that only hooks have. */
import * as z from 'zod/mini'

import type { HookName } from '../hooks/table.ts'
import type { HookFunctions } from '../hooks/types.ts'
import { text, type ValueKind } from './kinds.ts'

/** A function, or the path of a module that exports one. Not JSON, so no row of this kind reaches a worker as it is. */
export const hookFunction: ValueKind<unknown, unknown> = {
  schema: z.unknown(),
  allowed: 'a function or the path of a module',
  placeholder: 'MODULE',
  fromText: (path) => path,
}

type Hook<N extends HookName> = HookFunctions[N] | string | null

/** A hook: a function, or text that says where one is. */
export function hookOf<N extends HookName>(): ValueKind<Hook<N>, Hook<N>> {
  const place = text()
  return {
    schema: z.custom<Hook<N>, Hook<N>>(
      (value) =>
        value === null || typeof value === 'function' || place.schema.safeParse(value).success,
    ) as ValueKind<Hook<N>, Hook<N>>['schema'],
    allowed: 'a function or FILE:EXPORT',
    placeholder: 'FILE:EXPORT',
    json: { type: 'string' },
    fromText: place.fromText,
  }
}
