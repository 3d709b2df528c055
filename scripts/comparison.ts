// Compares the results of a test suite on plain Node with those under `monoceros/register`.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './command.ts'

/** Results of one run by test title. `text` is the error message of a failed test. */
export type Results = Map<string, { readonly passed: boolean; readonly text: string }>

export const REGISTER = join(ROOT, 'dist/register/register.js')
if (!existsSync(REGISTER)) throw new TypeError('dist/ is missing: npm run build')

/** Prints how many tests pass on plain Node, and which of those fail under `monoceros/register`. */
export function report(name: string, plain: Results, registered: Results): void {
  const passed = [...plain].filter(([, result]) => result.passed).map(([title]) => title)
  const lost = passed.filter((title) => registered.get(title)?.passed !== true)
  const share = ((passed.length - lost.length) / passed.length) * 100
  console.log(
    `${name}: ${plain.size} tests, ${passed.length} pass on plain node, ` +
      `${passed.length - lost.length} of them here (${share.toFixed(1)} %)`,
  )
  for (const title of lost) {
    const line = registered.get(title)?.text.split('\n')[0] ?? 'did not run'
    console.log(`  lost: ${title}${line === '' ? '' : `: ${line}`}`)
  }
}
