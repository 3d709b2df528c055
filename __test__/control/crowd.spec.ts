// The control socket of the real arbiter with a thousand clients, most of them wrong or silent.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { appSource } from '../process/program.ts'
import { needs } from '../requirements.ts'
import { startControlled } from './ctl.ts'

const CROWD = fileURLToPath(new URL('crowd.cjs', import.meta.url))
const PROBE = fileURLToPath(new URL('loop-probe.cjs', import.meta.url))
const CLIENTS = 1_000
/** The crowd ends when this many commands are answered. */
const ANSWERS = 60
const MAX_TURN_MS = 20
/** If the server kept what the clients send, it would grow by a gigabyte. */
const MAX_GROWTH_BYTES = 96 * 1024 ** 2

interface Recording {
  readonly turns: readonly { readonly at: number; readonly ms: number }[]
  readonly memory: readonly { readonly at: number; readonly bytes: number }[]
}

const testLinux = needs('Linux', process.platform === 'linux')

testLinux(
  'a thousand clients do not block the arbiter for 20 ms, nor fill its memory',
  async (t) => {
    const { program, runtime, ctl } = await startControlled(t, {
      files: { 'app.cjs': appSource('1'), 'probe.cjs': readFileSync(PROBE, 'utf8') },
      env: { NODE_OPTIONS: '--require ./probe.cjs', LOOP_PROBE: 'recording.json' },
    })
    const path = join(runtime, 'monoceros', `${program.pid}.sock`)
    // What runs for the first time takes longer: it is compiled.
    t.is((await ctl('status')).status, 0)
    const from = Date.now()
    const crowd = [CROWD, path, `${CLIENTS}`, `${ANSWERS}`]
    const { stdout } = await promisify(execFile)(process.execPath, crowd)
    const to = Date.now()
    t.is(JSON.parse(stdout).answered, ANSWERS)
    t.is((await ctl('status')).status, 0)
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    const { turns, memory }: Recording = JSON.parse(
      readFileSync(join(program.directory, 'recording.json'), 'utf8'),
    )
    const during = <Sample extends { at: number }>(samples: readonly Sample[]) =>
      samples.filter(({ at }) => at >= from && at <= to)
    const longest = Math.max(...during(turns).map(({ ms }) => ms))
    t.true(longest < MAX_TURN_MS, `a turn took ${longest} ms`)
    const sizes = during(memory).map(({ bytes }) => bytes)
    t.true(sizes.length > 10)
    const growth = Math.max(...sizes) - (sizes[0] ?? 0)
    t.true(growth < MAX_GROWTH_BYTES, `the memory grew by ${growth} bytes`)
    t.log(`${to - from} ms, longest turn ${longest.toFixed(1)} ms, growth ${growth} bytes`)
  },
)
