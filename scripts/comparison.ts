// What a suite comes to on plain Node and with `monoceros/register`, side by side.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './command.ts'

/** The results of a run: whether each test passed, and what it said else. */
export type Results = Map<string, { readonly passed: boolean; readonly text: string }>

export const REGISTER = join(ROOT, 'dist/register/register.js')
if (!existsSync(REGISTER)) throw new TypeError('dist/ is missing: npm run build')

/** Prints what passes on plain Node, and which of that does not here. */
export function report(name: string, stock: Results, ours: Results): void {
  const passed = [...stock].filter(([, result]) => result.passed).map(([title]) => title)
  const lost = passed.filter((title) => ours.get(title)?.passed !== true)
  const share = ((passed.length - lost.length) / passed.length) * 100
  console.log(
    `${name}: ${stock.size} tests, ${passed.length} pass on plain node, ` +
      `${passed.length - lost.length} of them here (${share.toFixed(1)} %)`,
  )
  for (const title of lost) {
    const line = ours.get(title)?.text.split('\n')[0] ?? 'did not run'
    console.log(`  lost: ${title}${line === '' ? '' : `: ${line}`}`)
  }
}
