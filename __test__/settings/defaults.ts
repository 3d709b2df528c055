// Every setting with its default, by the table; `chdir` is the directory of the start.

import type { HookName } from '../../ts/hooks/table.ts'
import type { Config } from '../../ts/settings/config.ts'
import { ROWS } from '../../ts/settings/names.ts'

export const DEFAULTS = Object.fromEntries(
  ROWS.filter(([name, { status }]) => status === 'supported' && name !== 'chdir').map(
    ([name, row]) => [name, row.default],
  ),
) as Omit<Config, 'chdir' | Exclude<HookName, 'ssl_context'>>
