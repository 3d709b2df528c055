// A worker with a blocked event loop: its log lines, how soon it is replaced, and that the other
// workers do not notice.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'

import { native } from '../../ts/native/index.ts'
import {
  appSource,
  ENGINES,
  type Program,
  serveArgs,
  startProgram,
  until,
  WITHOUT_ADDON,
} from './program.ts'

const TIMEOUT_S = 2

// Each way to block is on a line of its own, in a named function.
const APPLICATION = `const fs = require('node:fs')
const { execSync } = require('node:child_process')
const ways = {
  busy() { let n = 0; for (;;) n += 1 },
  regex() { return /^(a+)+$/.test('a'.repeat(60) + 'b') },
  json() { for (;;) parse(text) },
  fifo() { return fs.readFileSync('fifo') },
  exec() { return execSync('sleep 60') },
}
const parse = (json) => JSON.parse(json)
const text = '[' + Array(200000).fill('{"a":[1,2,{"b":"ccc"}]}').join(',') + ']'
module.exports = (req, res) => {
  const way = ways[req.url.slice(1).split('?')[0]]
  if (way !== undefined) way()
  res.end(String(process.pid))
}
`

interface Blockade {
  readonly way: string
  readonly line: RegExp
}

const IN_JAVASCRIPT: readonly Blockade[] = [
  { way: 'busy', line: /blocked in JavaScript:\n(.*\n)*? +at .*busy \(.*app\.cjs:4:\d+\)/ },
  { way: 'regex', line: /blocked in JavaScript:\n(.*\n)*? +at .*regex \(.*app\.cjs:5:\d+\)/ },
  { way: 'json', line: /blocked in JavaScript:\n(.*\n)*? +at .*json \(.*app\.cjs:6:\d+\)/ },
]

const IN_A_CALL: readonly Blockade[] = [
  { way: 'fifo', line: /blocked in the system call openat\("fifo"\)/ },
  { way: 'exec', line: /blocked in the system call \w+\(child process: .*sleep 60\)/ },
]

// In which call of the system a process is the addon reads.
const BLOCKADES = native === null ? IN_JAVASCRIPT : [...IN_JAVASCRIPT, ...IN_A_CALL]

for (const engine of ENGINES) {
  for (const { way, line } of BLOCKADES) {
    const title = `${engine}: blocked by ${way}: the place is logged, a successor starts`
    test.serial(title, async (t) => {
      const program = startProgram(t, {
        files: { 'app.cjs': APPLICATION },
        args: serveArgs(engine, '-w', '2', '-t', String(TIMEOUT_S)),
      })
      spawnSync('mkfifo', [join(program.directory, 'fifo')])
      await program.ready(2)
      await watched(program, 2)
      const blocked = t.throwsAsync(program.get(`/${way}?token=secret`))
      const [, silent = '', pid = ''] = await program
        .line(/WORKER TIMEOUT \(pid:(\d+)\): silent for ([\d.]+)s/)
        .then(([all, id, seconds]) => [all, seconds, id])
      t.true(Number(silent) < TIMEOUT_S + 1, `noticed after ${silent}s`)
      await program.line(new RegExp(`Worker \\(pid:${pid}\\) is ${line.source}`))
      if (engine === 'native') {
        await program.line(
          new RegExp(`Worker \\(pid:${pid}\\) has requests in flight: GET /${way} for [12]`),
        )
      }
      // Another worker answers at any time, never the blocked one.
      t.not((await program.get()).body, pid)
      await until(() => program.log.match(/Worker ready/g)?.length === 3, 'the successor')
      await blocked
      t.is(program.workers().length, 2)
      t.notRegex(program.log, /secret/)
    })
  }
}

test.serial('a place in a file with a source map is the place in what was written', async (t) => {
  // Line 2 of the file that runs is line 7, column 3 of what was written.
  const map = {
    version: 3,
    file: 'app.cjs',
    sources: ['written.ts'],
    names: [],
    mappings: ';AAME,AAAA,AAAA,AAAA',
  }
  const source = `module.exports = (req, res) => { if (req.url === '/busy') busy(); res.end() }
function busy() { for (;;) ; }
//# sourceMappingURL=app.cjs.map
`
  const program = startProgram(t, {
    files: { 'app.cjs': source, 'app.cjs.map': JSON.stringify(map) },
    args: serveArgs('auto', '-w', '1', '-t', String(TIMEOUT_S)),
  })
  await program.ready(1)
  await watched(program, 1)
  const blocked = t.throwsAsync(program.get('/busy'))
  await program.line(/is blocked in JavaScript:\n +at busy \(.*written\.ts:7:3\)/)
  await blocked
})

test.serial('without the addon a JavaScript thread finds the place', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': APPLICATION, ...WITHOUT_ADDON.files },
    args: serveArgs('auto', '-w', '1', '-t', String(TIMEOUT_S)),
    env: WITHOUT_ADDON.env,
  })
  await program.ready(1)
  t.regex(program.log, /Using engine: node \(the addon does not load: hidden\)/)
  await watched(program, 1)
  t.regex(program.log, /\[DEBUG\] engine=node/)
  const blocked = t.throwsAsync(program.get('/busy'))
  await program.line(/is blocked in JavaScript:\n(.*\n)*? +at .*busy \(.*app\.cjs:4:\d+\)/)
  await blocked
})

test.serial('one JSON.parse that outlasts the timeout is named when it ends', async (t) => {
  const source = `let items = 200_000, text
function parseMs() {
  text = '[' + '{"a":[1,2]},'.repeat(items) + '0]'
  const at = Date.now(); JSON.parse(text); return Date.now() - at
}
while (parseMs() < 1_500) items *= 2
function handle(req, res) {
  if (req.url === '/json') JSON.parse(text)
  res.end()
}
module.exports = handle
`
  const args = serveArgs('auto', '-w', '1', '-t', '1')
  const program = await startProgram(t, { files: { 'app.cjs': source }, args }).ready(1)
  await watched(program, 1)
  program.get('/json').catch(() => {})
  await program.line(/WORKER TIMEOUT/)
  const [found] = await program.line(
    /is blocked in JavaScript:\n(.*\n)*? +at .*handle \(.*app\.cjs:[89]:/,
  )
  t.truthy(found)
})

test.serial('a watcher thread that fails is logged, and the worker serves', async (t) => {
  const failing = `const threads = require('node:worker_threads')
threads.Worker = class extends threads.Worker {
  constructor(file, options) { super('throw new Error("no luck")', { ...options, eval: true }) }
}
`
  const program = startProgram(t, {
    files: {
      'app.cjs': appSource('1'),
      'hide.cjs': WITHOUT_ADDON.files['hide.cjs'] + failing,
    },
    args: serveArgs('auto', '-w', '1'),
    env: WITHOUT_ADDON.env,
  })
  await program.ready(1)
  await program.line(/The watcher failed: no luck/)
  t.is((await program.get()).status, 200)
})

/** Waits until each worker's watcher runs. Their lines may precede those of the arbiter. */
async function watched(program: Program, workers: number): Promise<void> {
  const count = () => program.log.match(/Watcher started/g)?.length ?? 0
  await until(() => count() === workers, 'the watchers')
}
