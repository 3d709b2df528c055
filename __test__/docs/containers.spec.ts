// The images, manifests and platform commands of docs/docker.md, kubernetes.md and paas.md: parsed,
// and the commands in them run.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import test from 'ava'
import { load } from 'js-yaml'

import { appSource, get, startProgram, until } from '../process/program.ts'

const execute = promisify(execFile)

/** The named blocks of a page, by name. */
function blocksOf(page: string): Map<string, string> {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
  const blocks = text.matchAll(/`([\w.]+)`:\n\n```\w+\n([\s\S]*?)```/g)
  return new Map([...blocks].map(([, name = '', block = '']) => [name, block]))
}

interface Instruction {
  readonly name: string
  readonly value: string
}

const INSTRUCTIONS = ['FROM', 'ENV', 'WORKDIR', 'COPY', 'RUN', 'USER', 'EXPOSE', 'CMD']

function instructionsOf(dockerfile: string): Instruction[] {
  return dockerfile
    .replaceAll(/ \\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, name = '', value = ''] = /^([A-Z]+) (.+)$/.exec(line) ?? []
      return { name, value }
    })
}

function lastOf(instructions: readonly Instruction[], name: string): string {
  return instructions.findLast((instruction) => instruction.name === name)?.value ?? ''
}

const images = [...blocksOf('docker.md')].filter(([name]) => name !== 'healthcheck.Dockerfile')

for (const [name, text] of images) {
  test(`${name} has known instructions, a list as CMD, and a user that is not root`, (t) => {
    const instructions = instructionsOf(text)
    for (const { name } of instructions) t.true(INSTRUCTIONS.includes(name), name)
    t.is(instructions[0]?.name, 'FROM')
    t.true(
      lastOf(instructions, 'USER') === 'node' || /:nonroot$/.test(lastOf(instructions, 'FROM')),
    )
    t.true(Array.isArray(JSON.parse(lastOf(instructions, 'CMD'))))
    t.is(lastOf(instructions, 'RUN'), 'npm ci --omit=dev')
  })
}

test.serial('the command of the images serves, and the health check succeeds', async (t) => {
  const commands = images.map(([, text]): string[] =>
    JSON.parse(lastOf(instructionsOf(text), 'CMD')).slice(1),
  )
  t.is(new Set(commands.map(String)).size, 1, 'the images differ only in the program')
  const args = (commands[0] ?? []).map((word) => word.replace('0.0.0.0:8000', '127.0.0.1:0'))
  const program = await startProgram(t, {
    files: { 'app.js': appSource('1') },
    args: [...args, '--health-paths', '/livez,/readyz', '--log-level', 'debug'],
  }).ready(1)
  t.is((await program.get('/readyz')).status, 200)

  const check = blocksOf('docker.md').get('healthcheck.Dockerfile') ?? ''
  const [, list = '[]'] = / CMD (\[.*\])/.exec(check.replaceAll(/ \\\n\s*/g, ' ')) ?? []
  const [, ...words]: string[] = JSON.parse(list)
  const onPort = (port: number) => words.map((word) => word.replace(':8000', `:${port}`))
  await t.notThrowsAsync(execute(process.execPath, onPort(program.port)))
  await t.throwsAsync(execute(process.execPath, onPort(1)))
})

test('every manifest of kubernetes.md can be parsed and selects the same pods', (t) => {
  const manifests = [...blocksOf('kubernetes.md').values()].map((text) =>
    JSON.stringify(load(text)),
  )
  t.is(manifests.length, 3)
  for (const manifest of manifests) t.true(manifest.includes('{"app":"web"}'), manifest)
})

interface Deployment {
  spec: { template: { spec: { terminationGracePeriodSeconds: number; containers: [Container] } } }
}

interface Container {
  command: string[]
  args: string[]
  ports: { name: string; containerPort: number }[]
  [probe: `${string}Probe`]: { httpGet: { path: string; port: string } }
}

test.serial(
  'the command of deployment.yaml serves its probes and fits into its grace period',
  async (t) => {
    const text = blocksOf('kubernetes.md').get('deployment.yaml') ?? ''
    const { spec } = (load(text) as Deployment).spec.template
    const [container] = spec.containers
    const words = [...container.command.slice(1), ...container.args]
    const flagValue = (flag: string) =>
      words.find((word) => word.startsWith(`${flag}=`))?.split('=')[1]
    const stop = Number(flagValue('--drain-delay')) + Number(flagValue('--graceful-timeout'))
    t.true(spec.terminationGracePeriodSeconds > stop)
    for (const { name, containerPort } of container.ports) {
      const flag = name === 'metrics' ? '--metrics-bind' : '--bind'
      t.is(flagValue(flag), `0.0.0.0:${containerPort}`)
    }

    const args = words.map((word) =>
      word.replace(/0\.0\.0\.0:\d+/, '127.0.0.1:0').replace('drain-delay=10', 'drain-delay=0.5'),
    )
    const files = { 'app.js': appSource('1') }
    const program = await startProgram(t, { files, args: [...args, '--log-level=debug'] }).ready(2)
    const metrics = await until(() => /Metrics at: \S+:(\d+)/.exec(program.log)?.[1], 'the metrics')
    const statusOf = async (probe: `${string}Probe`) => {
      const { path, port } = container[probe]?.httpGet ?? { path: '', port: '' }
      t.is(port, 'metrics')
      return (await get({ port: Number(metrics), path })).status
    }
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const)
      t.is(await statusOf(probe), 200, probe)

    program.signal('SIGTERM')
    await program.line(/Readiness fails from now on/)
    t.is(await statusOf('readinessProbe'), 503)
    t.is((await program.get()).status, 200, 'it still serves')
    t.is(await program.exited, 0)
  },
)

test.serial(
  'the command of paas.md takes the address and the workers of the platform',
  async (t) => {
    const page = readFileSync(new URL('../../docs/paas.md', import.meta.url), 'utf8')
    t.true(page.includes('    PORT=8000 WEB_CONCURRENCY=2 monoceros app.js\n'))
    const program = startProgram(t, {
      files: { 'app.js': appSource('1') },
      args: ['app.js', '--log-level', 'debug'],
      env: { PORT: '0', WEB_CONCURRENCY: '2' },
    })
    await program.line(/Listening at: http:\/\/0\.0\.0\.0:\d+/)
    await program.line(/Ready: 2 workers serve/)
    const { scripts } = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '{}')
    t.is(scripts.start, 'exec monoceros app.js')
  },
)
