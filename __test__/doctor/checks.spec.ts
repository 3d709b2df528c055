// Each check of `monoceros doctor` on facts of its own, the command, and its page.

import { readFileSync } from 'node:fs'
import test from 'ava'

import { CHECKS } from '../../ts/doctor/checks.ts'
import { renderChecks } from '../../ts/doctor/doctor-page.ts'
import type { Facts } from '../../ts/doctor/facts.ts'
import { runMonoceros } from '../control/ctl.ts'
import { temporaryDirectory } from '../temporary.ts'

const GIBIBYTE = 1024 ** 3

/** A machine without problems. */
const GOOD: Facts = {
  nodeVersion: '22.12.0',
  engineFailure: undefined,
  nodeEnv: 'production',
  settings: { backlog: 2048, bind: ['127.0.0.1:8000', 'unix:x.sock'], keepalive: 75, workers: 4 },
  settingsError: undefined,
  maxOpenFiles: 65_536,
  somaxconn: 4096,
  processorCount: 4,
  cpuQuota: undefined,
  memoryLimit: undefined,
  totalMemory: 8 * GIBIBYTE,
  swapTotal: 0,
  swapUsed: 0,
  hugePages: 'madvise',
  isContainer: false,
  initName: 'systemd',
  firstUnprivilegedPort: 1024,
  canBindPrivileged: false,
  places: [{ name: 'temporary files', path: '/tmp' }],
  clockSource: 'tsc',
  year: 2026,
}

/** For each check, facts that are a problem, and what the finding names. */
const PROBLEMS: Readonly<Record<string, readonly (readonly [Partial<Facts>, RegExp])[]>> = {
  node: [
    [{ nodeVersion: '20.18.1' }, /20\.18\.1.*Install Node 20\.19 or newer/],
    [{ nodeVersion: '23.1.0' }, /no long-term support/],
  ],
  engine: [[{ engineFailure: 'no binary' }, /does not load: no binary/]],
  settings: [[{ settingsError: '--workers must be' }, /--workers must be/]],
  environment: [
    [{ nodeEnv: undefined }, /NODE_ENV is not set/],
    [{ nodeEnv: 'development' }, /NODE_ENV=development/],
  ],
  'open files': [[{ maxOpenFiles: 1024 }, /1024 per process.*LimitNOFILE/]],
  backlog: [[{ somaxconn: 128 }, /net\.core\.somaxconn 128.*somaxconn=2048/]],
  processors: [[{ processorCount: 1, cpuQuota: 0.5 }, /4 workers, 1 processors, quota .* 0\.5/]],
  memory: [
    [{ memoryLimit: GIBIBYTE / 4 }, /256 MiB limit of the control group, 64 MiB for each worker/],
    [{ totalMemory: GIBIBYTE / 4 }, /256 MiB of the machine/],
  ],
  swap: [[{ swapTotal: GIBIBYTE, swapUsed: GIBIBYTE / 2 }, /512 MiB of 1 GiB used/]],
  'huge pages': [[{ hugePages: 'always' }, /echo madvise/]],
  'process 1': [
    [{ isContainer: true, initName: 'sh' }, /sh in a container.*exec form/],
    [{ isContainer: true, initName: 'npm' }, /npm in a container/],
  ],
  'keep-alive': [
    [{ settings: { ...GOOD.settings, keepalive: 5 } }, /keepalive 5 s; balancers keep 60 s/],
  ],
  ports: [[{ settings: { ...GOOD.settings, bind: [':80'] } }, /80: below 1024/]],
  places: [
    [
      { places: [{ name: 'pidfile', path: '/run/x', problem: 'EACCES' }] },
      /pidfile \/run\/x: EACCES/,
    ],
  ],
  clock: [
    [{ clockSource: 'hpet' }, /hpet: reading the time is a system call/],
    [{ year: 1970 }, /the year is 1970/],
  ],
}

for (const { title, check } of CHECKS) {
  test(`${title}: a good machine has no problem, and each problem has advice`, (t) => {
    t.is(check(GOOD).status, 'ok')
    const cases = PROBLEMS[title] ?? []
    t.true(cases.length > 0)
    for (const [facts, expected] of cases) {
      const { status, value, advice = '' } = check({ ...GOOD, ...facts })
      t.is(status, 'problem')
      t.regex(`${value} ${advice}`, expected)
      t.not(advice, '')
    }
  })
}

test('what the system does not report is unknown and no problem', (t) => {
  const silent: Facts = {
    ...GOOD,
    maxOpenFiles: undefined,
    somaxconn: undefined,
    swapTotal: undefined,
    swapUsed: undefined,
    hugePages: undefined,
    initName: undefined,
    clockSource: undefined,
  }
  const unknown = CHECKS.filter(({ check }) => check(silent).status === 'unknown')
  const titles = ['open files', 'backlog', 'swap', 'huge pages', 'process 1', 'clock']
  t.deepEqual(
    unknown.map(({ title }) => title),
    titles,
  )
  t.true(CHECKS.every(({ check }) => check(silent).status !== 'problem'))
})

test('some facts that look like problems are none', (t) => {
  const find = (title: string, facts: Partial<Facts>) =>
    CHECKS.find((row) => row.title === title)?.check({ ...GOOD, ...facts }).status
  const privileged = { settings: { ...GOOD.settings, bind: [':80'] } }
  t.is(find('ports', { ...privileged, canBindPrivileged: true }), 'ok')
  t.is(find('ports', { ...privileged, firstUnprivilegedPort: 80 }), 'ok')
  t.is(find('process 1', { isContainer: true, initName: 'monoceros' }), 'ok')
  t.is(find('keep-alive', { settings: { ...GOOD.settings, keepalive: 0 } }), 'ok')
  t.is(find('swap', { swapTotal: GIBIBYTE, swapUsed: 0 }), 'ok')
})

test('the command reports each check once, in 80 columns, and as JSON', async (t) => {
  const runtime = temporaryDirectory('doctor')
  const argv = ['-w', '1024', '-p', '/nonexistent/web.pid']
  const text = await runMonoceros(['doctor', ...argv], { runtime })
  t.is(text.status, 1)
  t.true(text.out.split('\n').every((line) => line.length <= 80))
  t.regex(text.out, /^problem {2}places .*\/nonexistent\/web\.pid/m)
  const { status, out } = await runMonoceros(['doctor', '-j', ...argv], { runtime })
  t.is(status, 1)
  const results: { title: string; status: string; advice?: string }[] = JSON.parse(out)
  t.deepEqual(
    results.map(({ title }) => title),
    CHECKS.map(({ title }) => title),
  )
  t.true(results.every((result) => (result.status === 'problem') === (result.advice !== undefined)))
  const invalid = await runMonoceros(['doctor', '-j', '-w', 'x'], { runtime })
  t.regex(invalid.out, /--workers must be an integer/)
})

test('docs/doctor.md lists each check, and its commands run', async (t) => {
  const page = readFileSync(new URL('../../docs/doctor.md', import.meta.url), 'utf8')
  t.true(page.endsWith(`## Checks\n\n${renderChecks()}`))
  const runtime = temporaryDirectory('doctor')
  const commands = page.match(/^ {4}monoceros .*$/gm) ?? []
  t.is(commands.length, 2)
  for (const command of commands) {
    const { out, err } = await runMonoceros(command.trim().split(' ').slice(1), { runtime })
    t.regex(out, /huge pages/)
    t.is(err, '')
  }
})
