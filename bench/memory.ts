// Resident memory of an idle worker under the real arbiter, compared with the same script run by
// node.

import { join } from 'node:path'
import { ROOT } from '../scripts/command.ts'
import type { EngineName } from './cases.ts'
import type { NodeBinary } from './nodes.ts'
import { childrenOf, residentBytes } from './processors.ts'
import { startProcess } from './server.ts'

const PORT = 19_480
/** After its first answer a process still grows for a moment, and V8 still compiles. */
const SETTLE_MS = 3000

export interface MemoryRow {
  readonly name: string
  readonly bytes: number
  readonly ratio: number
}

/** One row for node alone, then one for a worker on each engine. */
export async function measureMemory(
  node: NodeBinary,
  engines: readonly EngineName[],
): Promise<MemoryRow[]> {
  const script = join(ROOT, 'bench/apps/idle.js')
  const alone = await idleBytes([node.path, script], (pid) => pid)
  const rows: MemoryRow[] = [{ name: 'node app.js', bytes: alone, ratio: 1 }]
  for (const engine of engines.filter((name) => name === 'native' || name === 'node')) {
    const cli = [node.path, join(ROOT, 'dist/cli/main.js'), script]
    const args = ['--workers', '1', '--bind', `127.0.0.1:${PORT}`, '--engine', engine]
    const bytes = await idleBytes([...cli, ...args], (pid) => childrenOf(pid)[0] ?? pid)
    rows.push({ name: `worker, ${engine} engine`, bytes, ratio: bytes / alone })
  }
  return rows
}

async function idleBytes(
  command: readonly string[],
  choosePid: (pid: number) => number,
): Promise<number> {
  const server = await startProcess(command, PORT, { name: 'req-res', engine: 'plain' })
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    return residentBytes(choosePid(server.pid))
  } finally {
    await server.stop()
  }
}
