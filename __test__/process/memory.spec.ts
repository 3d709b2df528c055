// Workers whose memory is used up: V8's heap, and what the kernel allows their control group.

import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { needs } from '../requirements.ts'
import { ENGINES, type Program, serveArgs, startProgram, until } from './program.ts'

const APPLICATION = `const kept = []
module.exports = (req, res) => {
  if (req.url === '/objects') for (;;) kept.push({ number: kept.length, text: String(kept.length) })
  if (req.url === '/buffers') return void setInterval(() => kept.push(Buffer.alloc(8 << 20, 1)), 5)
  res.end(String(process.pid))
}
`

for (const engine of ENGINES) {
  test.serial(`${engine}: a full heap is named, the others serve on, pauses grow`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': APPLICATION },
      args: serveArgs(engine, '-w', '2'),
      env: { NODE_OPTIONS: '--max-old-space-size=32' },
    })
    await program.ready(2)
    for (const pause of ['1s', '2s']) {
      const pid = await endBy(t, program, '/objects')
      await program.line(
        new RegExp(`Worker \\(pid:${pid}\\) was sent SIGABRT! Perhaps its .* heap`),
      )
      await program.line(new RegExp(`Workers exit too soon; the next one starts in ${pause}`))
      t.not((await program.get()).body, pid)
      await program.line(/Worker ready/)
    }
    t.is(program.workers().length, 2)
  })
}

// Of the first version, which is the one that containers still let their root write.
const GROUP = `/sys/fs/cgroup/memory/monoceros-test-${process.pid}`
const LIMIT_BYTES = 500 << 20

// Needs Linux with control groups that this user may make.
const testGroup = needs('a cgroup v1 that may be written', canMakeGroups())

testGroup('an out-of-memory kill by the kernel is logged as such', async (t) => {
  mkdirSync(GROUP)
  writeFileSync(join(GROUP, 'memory.limit_in_bytes'), String(LIMIT_BYTES))
  // Teardowns are done last to first: by then the program has ended.
  t.teardown(() => until(isRemoved, 'the end of the group'))
  const program = startProgram(t, {
    files: { 'app.cjs': APPLICATION },
    args: serveArgs('auto', '-w', '2'),
    command: ['sh', '-c', `echo $$ > ${GROUP}/cgroup.procs; exec "$@"`, 'sh'],
  })
  await program.ready(2)
  const pid = await endBy(t, program, '/buffers')
  await program.line(
    new RegExp(`Worker \\(pid:${pid}\\) was sent SIGKILL! The kernel killed it: its control group`),
  )
  await program.line(/Worker ready/)
  t.not((await program.get()).body, pid)
})

/** Asks for what ends the worker that answers; the result is its number. */
async function endBy(t: ExecutionContext, program: Program, path: string): Promise<string> {
  const before = program.workers()
  program.get(path).catch(() => {
    // Its worker has exited.
  })
  const gone = await until(
    () => before.find((pid) => !program.workers().includes(pid)),
    'the end of a worker',
  )
  t.truthy(gone)
  return String(gone)
}

function canMakeGroups(): boolean {
  try {
    mkdirSync(GROUP)
    const works = existsSync(join(GROUP, 'memory.limit_in_bytes'))
    rmdirSync(GROUP)
    return works
  } catch {
    // Another system, the other version of control groups, or a user who may not.
    return false
  }
}

function isRemoved(): boolean {
  try {
    rmdirSync(GROUP)
    return true
  } catch {
    // Its processes have not ended yet.
    return false
  }
}
