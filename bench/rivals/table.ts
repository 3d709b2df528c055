// The servers that `npm run bench -- --rivals` compares, one entry each. All send the same response
// from the same number of processes.

import { join } from 'node:path'
import { ROOT } from '../../scripts/command.ts'

/** Where the programs of the rivals are. */
export interface Installed {
  /** Node, with which every server of Node runs. */
  readonly node: string
  /** A folder with the packages of npm. */
  readonly npm: string
  /** The programs of a virtual environment of Python; undefined where Python has none. */
  readonly python: string | undefined
}

export interface Rival {
  readonly name: string
  /** The command that serves on a port of 127.0.0.1 with some workers. */
  command(where: Installed, port: number, workers: number): readonly string[]
  /** Written in Python; left out on a machine without it. */
  readonly needsPython?: boolean
  /** Replaces the workers: a signal to the first process, or a command. */
  readonly reload?: NodeJS.Signals | ((where: Installed) => readonly string[])
  /** The folder that its command runs in; by default the repository's. */
  folder?(where: Installed): string
}

const APPS = join(ROOT, 'bench', 'rivals', 'apps')
const BIN = 'node_modules/.bin'
const SCRIPT = join(ROOT, 'bench', 'apps', 'idle.js')

/** Packages of npm, and of PyPI. */
export const PACKAGES = {
  npm: ['pm2@7', 'wattpm@3', '@platformatic/node@3', bunPackage(), denoPackage()],
  python: ['gunicorn', 'granian'],
} as const

/** The one that all figures are divided by. */
export const BASELINE = 'node:cluster'

export const RIVALS: readonly Rival[] = [
  {
    name: 'monoceros',
    command: ({ node }, port, workers) => [
      ...[node, join(ROOT, 'dist/cli/main.js'), SCRIPT],
      ...['-b', `127.0.0.1:${port}`, '-w', `${workers}`],
    ],
    reload: 'SIGHUP',
  },
  {
    name: BASELINE,
    command: ({ node }, _port, workers) => [
      node,
      join(ROOT, 'bench/apps/cluster.js'),
      `${workers}`,
    ],
  },
  {
    name: 'pm2',
    command: ({ node, npm }, _port, workers) => [
      ...[node, join(npm, BIN, 'pm2-runtime'), 'start', SCRIPT],
      ...['-i', `${workers}`],
    ],
    reload: ({ node, npm }) => [node, join(npm, BIN, 'pm2'), 'reload', 'all'],
  },
  {
    name: 'Watt',
    command: ({ node, npm }) => [node, join(npm, BIN, 'wattpm'), 'start'],
    reload: ({ node, npm }) => [node, join(npm, BIN, 'wattpm'), 'reload', 'watt'],
    folder: ({ npm }) => join(npm, 'watt'),
  },
  {
    name: 'Bun.serve',
    command: ({ npm }) => [
      join(npm, 'node_modules', bunPackage(), 'bin/bun'),
      join(APPS, 'bun.js'),
    ],
  },
  {
    name: 'Deno.serve',
    command: ({ npm }, port) => [
      ...[join(npm, 'node_modules', denoPackage(), 'deno'), 'serve', '--parallel', '-A'],
      ...['--host', '127.0.0.1', '--port', `${port}`, join(APPS, 'deno.js')],
    ],
  },
  {
    name: 'Gunicorn gthread',
    needsPython: true,
    command: ({ python = '' }, port, workers) => [
      ...[join(python, 'gunicorn'), 'hello:wsgi', '--chdir', APPS, '-b', `127.0.0.1:${port}`],
      ...['-w', `${workers}`, '-k', 'gthread', '--threads', '4'],
    ],
    reload: 'SIGHUP',
  },
  {
    name: 'Granian RSGI',
    needsPython: true,
    command: ({ python = '' }, port, workers) => [
      ...[join(python, 'granian'), '--interface', 'rsgi', '--working-dir', APPS],
      ...['--host', '127.0.0.1', '--port', `${port}`, '--workers', `${workers}`, 'hello:app'],
    ],
    reload: 'SIGHUP',
  },
]

function bunPackage(): string {
  return `@oven/bun-${process.platform}-${process.arch}`
}

function denoPackage(): string {
  return `@deno/${process.platform}-${process.arch}-glibc`
}
