/** The kinds of value that only hooks have. */
import * as z from 'zod/mini'

import type { HookName } from '../hooks/table.ts'
import type { HookFunctions } from '../hooks/types.ts'
import { type Kind, text } from './kinds.ts'

/** A function, or the path of a module that exports one. Not JSON, so no row of this kind reaches a worker as it is. */
export const callable: Kind<unknown, unknown> = {
  schema: z.unknown(),
  allowed: 'a function or the path of a module',
  meta: 'MODULE',
  fromText: (path) => path,
}

type Hook<N extends HookName> = HookFunctions[N] | string | null

/** A hook: a function, or text that says where one is. */
export function hookOf<N extends HookName>(): Kind<Hook<N>, Hook<N>> {
  const place = text()
  return {
    schema: z.custom<Hook<N>, Hook<N>>(
      (value) =>
        value === null || typeof value === 'function' || place.schema.safeParse(value).success,
    ) as Kind<Hook<N>, Hook<N>>['schema'],
    allowed: 'a function or FILE:EXPORT',
    meta: 'FILE:EXPORT',
    json: { type: 'string' },
    fromText: place.fromText,
  }
}
