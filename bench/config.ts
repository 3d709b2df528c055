// The settings that the engines under measurement get: the defaults, as a worker would get them.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../scripts/command.ts'
import type { Subject } from './cases.ts'

/** All settings with their defaults, or nothing if no engine of ours is in the run. */
export async function engineConfig(
  subjects: readonly Subject[],
): Promise<Readonly<Record<string, unknown>> | null> {
  const ours = subjects.filter(({ engine }) => engine === 'native' || engine === 'node')
  const path = join(ROOT, 'dist/parts/settings/config.js')
  if (ours.length === 0 || !existsSync(path)) return null
  const { resolveConfig } = await import(path)
  const resolved = await resolveConfig({ argv: ['app.js'], env: {}, cwd: ROOT })
  return resolved.values
}
