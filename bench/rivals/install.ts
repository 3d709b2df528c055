// Installs the rivals into `bench/.nodes/rivals`, from the registries of npm and of Python.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from '../../scripts/command.ts'
import { type Installed, PACKAGES } from './table.ts'

const FOLDER = join(ROOT, 'bench', '.nodes', 'rivals')

/** An application of Watt: its configuration names the workers, and the script that all serve. */
const WATT = {
  'package.json': { name: 'watt', type: 'module', main: 'app.js' },
  'watt.json': {
    $schema: 'https://schemas.platformatic.dev/@platformatic/node/3.0.0.json',
    runtime: {
      server: { hostname: '127.0.0.1', port: '{PORT}' },
      workers: '{WORKERS}',
      logger: { level: 'warn' },
    },
    node: { main: 'app.js' },
  },
}

export async function installRivals(node: string): Promise<Installed> {
  mkdirSync(join(FOLDER, 'watt'), { recursive: true })
  if (!existsSync(join(FOLDER, 'package.json'))) {
    writeFileSync(join(FOLDER, 'package.json'), '{ "private": true }\n')
  }
  if (!existsSync(join(FOLDER, 'node_modules'))) {
    console.log('installing the rivals into bench/.nodes/rivals')
    await must('npm', ['install', '--no-audit', '--no-fund', '--force', ...PACKAGES.npm])
  }
  for (const [name, content] of Object.entries(WATT)) {
    writeFileSync(join(FOLDER, 'watt', name), `${JSON.stringify(content, null, 2)}\n`)
  }
  const script = join(ROOT, 'bench', 'apps', 'idle.js')
  writeFileSync(join(FOLDER, 'watt', 'app.js'), `import ${JSON.stringify(script)}\n`)
  return { node, npm: FOLDER, python: await installPython() }
}

async function installPython(): Promise<string | undefined> {
  const programs = join(FOLDER, 'python', 'bin')
  if (existsSync(join(programs, 'granian'))) return programs
  const { status } = await run('python3', ['-m', 'venv', join(FOLDER, 'python')], { show: false })
  if (status !== 0) return undefined
  await must(join(programs, 'pip'), ['install', '--quiet', ...PACKAGES.python])
  return programs
}

async function must(program: string, args: readonly string[]): Promise<void> {
  const { status, output } = await run(program, args, { cwd: FOLDER, show: false })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}:\n${output.slice(-2_000)}`)
}
