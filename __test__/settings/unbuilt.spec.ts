// Checks what happens when a setting is given that is not supported yet or has no meaning here.

import { isDeepStrictEqual } from 'node:util'
import test from 'ava'

import { MonocerosError } from '../../ts/errors.ts'
import { type ConfigFile, resolveConfig } from '../../ts/settings/config.ts'
import { ROWS, type RowName } from '../../ts/settings/names.ts'
import type { Row } from '../../ts/settings/rows.ts'

/** For every setting, at least one of these values is valid and differs from the default. */
const VALUES: readonly unknown[] = [
  ...[true, false, 3, 1, 20_000, ['x'], 'x', 'on', 'uwsgi', 'both', 'h2', 'python', 'uvloop'],
  ...['10.0.0.0/8', 'a=b', { a: 'b' }, () => {}],
]

function findOtherValue({ kind, default: defaultValue }: Row): unknown {
  return VALUES.find((value) => {
    const parsed = kind.schema.safeParse(value)
    return parsed.success && !isDeepStrictEqual(parsed.data, defaultValue)
  })
}

function resolveWith(name: RowName, value: unknown) {
  const embedded = { [name]: value } as ConfigFile
  return resolveConfig({ argv: [], env: {}, cwd: '/', embedded })
}

for (const [name, row] of ROWS) {
  if (row.status === 'planned') {
    test(`a setting that is not supported yet is rejected by its name: ${name}`, async (t) => {
      const value = findOtherValue(row)
      t.not(value, undefined)
      const error = await t.throwsAsync(resolveWith(name, value), { instanceOf: MonocerosError })
      t.is((error as MonocerosError).code, 'ERR_SETTING_LATER')
      t.true(error?.message.includes(name))
    })
  }
  if (row.status === 'inapplicable') {
    test(`a setting without meaning is ignored, warned about or rejected: ${name}`, async (t) => {
      const value = findOtherValue(row)
      t.not(value, undefined)
      const result = await resolveWith(name, value).catch((error: unknown) => error)
      if (row.whenSet === 'reject') {
        t.true(result instanceof MonocerosError && result.message.includes(row.reason))
        return
      }
      const { warnings } = result as Awaited<ReturnType<typeof resolveWith>>
      const warned = warnings.some((line) => line.includes(name) && line.includes(row.reason))
      t.is(warned, row.whenSet === 'warn')
    })
  }
}
