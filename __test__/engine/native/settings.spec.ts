// Checks that every setting with an `engine` column reaches the native engine.
import test from 'ava'
import { settingsOf } from '../../../ts/engine/native/engine.ts'
import { IoThread } from '../../../ts/engine/native/io-thread.ts'
import { ENGINE_SETTINGS } from '../../../ts/engine/settings.ts'
import type { EngineSettings } from '../../../ts/settings/engine.ts'
import { ROWS } from '../../../ts/settings/names.ts'
import type { SupportedRow } from '../../../ts/settings/rows.ts'
import { config } from '../../http/engines.ts'
import { needsAddon } from '../../requirements.ts'
import { DEFAULTS } from '../../settings/defaults.ts'

const withAddon = needsAddon(test)

/** The rows of the settings that the engine reads. */
const ENGINE_ROWS = ROWS.flatMap(([name, row]) =>
  row.status === 'supported' && row.engine !== undefined ? [{ name, row }] : [],
)

/** A value of a setting that is neither its default nor the value of another setting. */
function distinctValue(name: string, row: SupportedRow, index: number): unknown {
  switch (row.engine?.type) {
    case 'duration':
      return 20_000 + index + 0.5
    case 'flag':
      return row.default !== true
    case 'choice':
      return row.kind.words?.findLast((word) => word !== row.default)
    case 'text':
      // An address list, a path and a format can all have this form.
      return name === 'accesslog' ? '/dev/null' : `10.0.0.${index}`
    case 'pairs':
      return { 'X-Scheme': `https-${index}` }
    default:
      return 20_000 + index
  }
}

/** The settings that an engine holds that has been given these. */
function heldSettings(settings: EngineSettings): Record<string, unknown> | undefined {
  const thread = new IoThread({ settings, onIdle: () => {}, onFault: () => {} })
  try {
    return thread.engine.settings(0)
  } finally {
    thread.stop()
  }
}

test('the list of engine settings has every row with an engine column', (t) => {
  t.deepEqual(
    [...ENGINE_SETTINGS],
    ENGINE_ROWS.map(({ name }) => name),
  )
})

withAddon('every setting of the engine reaches it with its value', (t) => {
  const values = Object.fromEntries(
    ENGINE_ROWS.map(({ name, row }, index) => [name, distinctValue(name, row, index)]),
  )
  for (const { name, row } of ENGINE_ROWS) t.notDeepEqual(values[name], row.default, name)
  t.deepEqual(heldSettings(settingsOf({ ...config, ...values })), values)
})

// Two flags may have the same value above, so that an exchange of them would not be noticed there.
withAddon('a flag or choice that is set alone changes no other setting', (t) => {
  const initial = { ...config, ...DEFAULTS }
  const defaults = heldSettings(settingsOf(initial))
  for (const [index, { name, row }] of ENGINE_ROWS.entries()) {
    if (row.engine?.type !== 'flag' && row.engine?.type !== 'choice') continue
    const value = distinctValue(name, row, index)
    t.notDeepEqual(defaults?.[name], value, name)
    const held = heldSettings(settingsOf({ ...initial, [name]: value }))
    t.deepEqual(held, { ...defaults, [name]: value })
  }
})

withAddon('the defaults of the engine are those of the table', (t) => {
  const unlimited = { buffer_memory: 0, header_timeout: 0 }
  const defaults = Object.fromEntries(ENGINE_ROWS.map(({ name, row }) => [name, row.default]))
  t.deepEqual(heldSettings({} as EngineSettings), defaults)
  t.notDeepEqual(heldSettings(unlimited as EngineSettings), { ...defaults, ...unlimited })
})

withAddon('the engine refuses an unknown setting and a value of another type', (t) => {
  const held = (settings: object) => () => heldSettings(settings as EngineSettings)
  t.throws(held({ keep_alive: 5 }), { message: 'the engine has no setting "keep_alive"' })
  t.throws(held({ keepalive: '5' }), {
    message: 'the engine setting "keepalive" must be a number of seconds',
    code: 'ERR_INVALID_ARG_VALUE',
  })
  t.throws(held({ header_map: 'keep' }), { message: /"header_map" must be "drop", "refuse" or/ })
  t.throws(held({ casefold_http_method: 1 }), { message: /must be true or false$/ })
})
