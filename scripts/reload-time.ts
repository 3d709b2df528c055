// Measures the time from a saved file to the first response of the new code, with `--reload`, on an
// Express application. Usage: `npm run build && npx tsx scripts/reload-time.ts`.

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
  await waitForVersion(0)
  // The file watcher is ready shortly after the first response.
  await pause(1_000)
  const times: number[] = []
  for (let version = 1; version <= ROUNDS; version += 1) {
    const savedAt = performance.now()
    writeFileSync(file, source(version))
    await waitForVersion(version)
    times.push(Math.round(performance.now() - savedAt))
    await pause(300)
  }
  const sorted = times.toSorted((a, b) => a - b)
  console.log(`from save to response, ms: ${times.join(' ')}; median ${sorted[ROUNDS / 2]}`)
} finally {
  child.kill('SIGTERM')
  rmSync(directory, { recursive: true })
}

/** Requests the page until its body is the version. */
async function waitForVersion(version: number): Promise<void> {
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
