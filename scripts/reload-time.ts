// From the moment in which a file is saved to the first answer of the new code, with `--reload`, on the Express example.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { ROOT } from './command.ts'

const ROUNDS = 10
const PORT = 8765

const source = (version: number) => `import express from 'express'
const app = express()
app.get('/', (req, res) => res.send('${version}'))
export default app
`

const directory = mkdtempSync(join(tmpdir(), 'monoceros-reload-'))
const file = join(directory, 'app.mjs')
symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
writeFileSync(file, source(0))
const child = spawn(
  process.execPath,
  [join(ROOT, 'dist/cli/main.js'), 'app.mjs', '-b', `127.0.0.1:${PORT}`, '--reload', '-w', '1'],
  { cwd: directory, stdio: 'ignore' },
)
try {
  await answered(0)
  // The watch is open a moment after the first answer.
  await pause(1_000)
  const times: number[] = []
  for (let version = 1; version <= ROUNDS; version += 1) {
    const savedAt = performance.now()
    writeFileSync(file, source(version))
    await answered(version)
    times.push(Math.round(performance.now() - savedAt))
    await pause(300)
  }
  const sorted = times.toSorted((a, b) => a - b)
  console.log(`saved to answered, ms: ${times.join(' ')}; median ${sorted[ROUNDS / 2]}`)
} finally {
  child.kill('SIGTERM')
  rmSync(directory, { recursive: true })
}

async function answered(version: number): Promise<void> {
  for (;;) {
    const body = await fetch(`http://127.0.0.1:${PORT}/`).then(
      (response) => response.text(),
      () => undefined,
    )
    if (body === String(version)) return
    await pause(5)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}
