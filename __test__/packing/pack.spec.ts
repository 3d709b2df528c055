// The packed packages in the hands of a user: installed into an empty project of a machine that has
// no cargo.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import anyTest, { type TestFn } from 'ava'
import { addonPath } from '../../scripts/build.ts'
import { ROOT } from '../../scripts/command.ts'
import { ERRORS } from '../../ts/errors.ts'

interface Context {
  /**
   * A copy of the repository, so that nothing that packing writes is seen by a test that runs
   * beside this one.
   */
  repository: string
  tarballs: { main: string; platform: string }
}

const test = anyTest as TestFn<Context>
const execute = promisify(execFile)

const addon = addonPath()
/** `linux-x64-gnu`, as napi calls this machine. */
const platform =
  addon === undefined ? '' : (/^monoceros\.(.+)\.node$/.exec(basename(addon))?.[1] ?? '')
/** Packing needs the loader that a build with cargo writes; without cargo there is no package. */
const withAddon = addon === undefined ? test.serial.skip : test.serial

const APP = `module.exports = (req, res) => res.end('packed ' + req.url)\n`
const START_TIMEOUT_MS = 30_000

const folders: string[] = []
const running: ChildProcess[] = []

test.before(async (t) => {
  t.timeout(120_000)
  if (addon === undefined) return
  const repository = copyOfRepository()
  const folder = join(repository, 'npm', platform)
  cpSync(addon, join(folder, basename(addon)))
  t.context = {
    repository,
    tarballs: { main: await pack(repository), platform: await pack(folder) },
  }
})

test.beforeEach((t) => t.timeout(120_000))

test.after.always(() => {
  for (const { pid } of running) endGroup(pid)
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

withAddon('packing does not change package.json', (t) => {
  const packed = readFileSync(join(t.context.repository, 'package.json'), 'utf8')
  t.is(packed, readFileSync(join(ROOT, 'package.json'), 'utf8'))
})

withAddon(
  'the packed package names every platform package, of its own version exactly',
  async (t) => {
    const { stdout } = await execute('tar', [
      '-xOf',
      t.context.tarballs.main,
      'package/package.json',
    ])
    const { version, optionalDependencies } = JSON.parse(stdout)
    const names = readdirSync(join(ROOT, 'npm')).map((name) => [`monoceros-${name}`, version])
    t.deepEqual(optionalDependencies, Object.fromEntries(names))
  },
)

withAddon(
  'the packed package holds the pages that messages name, no binary, no source and no test',
  async (t) => {
    const { stdout } = await execute('tar', ['-tf', t.context.tarballs.main])
    const files = stdout.trim().split('\n')
    t.true(files.includes('package/dist/cli/main.js'))
    t.true(files.includes('package/dist/native/binding.cjs'))
    for (const { page } of Object.values(ERRORS))
      t.true(files.includes(`package/docs/${page}`), page)
    t.deepEqual(
      files.filter(
        (file) => /\.node$|\/ts\/|__test__|crates|\.tsx?$/.test(file) && !/\.d\.c?ts$/.test(file),
      ),
      [],
    )
  },
)

withAddon(
  'installed with its platform package it serves on the native engine, and no script ran',
  async (t) => {
    const project = await install([t.context.tarballs.main, t.context.tarballs.platform])
    t.deepEqual(installScripts(project), [])
    const { address, log } = await serve(project)
    t.is(await ask(`${address}/a`), 'packed /a')
    t.regex(log(), /Using engine: native$/m)
  },
)

withAddon(
  'installed without a platform package it serves on the TypeScript engine, and logs one line',
  async (t) => {
    const project = await install([t.context.tarballs.main])
    t.false(existsSync(join(project, 'node_modules', `monoceros-${platform}`)))
    const { address, log } = await serve(project)
    t.is(await ask(`${address}/b`), 'packed /b')
    t.is(log().match(/^.*\b(?:engine|addon)\b.*$/gim)?.length, 1)
    t.regex(log(), /Using engine: node \(.+\)/)
  },
)

function temporary(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `monoceros-${name}-`))
  folders.push(folder)
  return folder
}

/** What is committed, and what is built with its stamps, so that packing finds nothing to build. */
function copyOfRepository(): string {
  const copy = temporary('pack')
  const skipped = ['.git', 'node_modules', 'target', join('bench', '.nodes')].map((name) =>
    join(ROOT, name),
  )
  cpSync(ROOT, copy, {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => !skipped.includes(path) && !path.endsWith('.tgz'),
  })
  cpSync(join(ROOT, 'target/stamps'), join(copy, 'target/stamps'), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

async function pack(folder: string): Promise<string> {
  const destination = temporary('tarball')
  await npm(['pack', '--silent', '--pack-destination', destination], folder)
  return join(destination, readdirSync(destination)[0] ?? '')
}

async function install(tarballs: readonly string[]): Promise<string> {
  const project = temporary('project')
  writeFileSync(join(project, 'package.json'), '{ "private": true }\n')
  writeFileSync(join(project, 'app.js'), APP)
  mkdirSync(join(project, 'node_modules'))
  await npm(['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs], project)
  return project
}

async function npm(args: readonly string[], cwd: string): Promise<void> {
  await execute('npm', args, { cwd, env: withoutCargo(), maxBuffer: 2 ** 24 })
}

/**
 * The environment of a user: neither cargo nor what npm and ava have put there for the run of these
 * tests.
 */
function withoutCargo(): NodeJS.ProcessEnv {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !hasCargo(folder))
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|NODE_|AVA_|CARGO|MONOCEROS_)/.test(name),
  )
  return { ...Object.fromEntries(own), PATH: path.join(delimiter) }
}

function hasCargo(folder: string): boolean {
  return existsSync(join(folder, 'cargo')) || folder.includes('node_modules')
}

/** Packages among the installed ones that npm would run a script for. */
function installScripts(project: string): string[] {
  const modules = join(project, 'node_modules')
  const names = readdirSync(modules).flatMap((name) =>
    name.startsWith('@')
      ? readdirSync(join(modules, name)).map((inner) => join(name, inner))
      : [name],
  )
  return names.filter((name) => {
    const manifest = join(modules, name, 'package.json')
    if (!existsSync(manifest)) return false
    const { scripts = {} } = JSON.parse(readFileSync(manifest, 'utf8'))
    const hasScript = ['preinstall', 'install', 'postinstall'].some((event) => event in scripts)
    return hasScript || existsSync(join(modules, name, 'binding.gyp'))
  })
}

/** Starts `npx monoceros app.js` and waits for the line with its address. */
function serve(project: string): Promise<{ address: string; log: () => string }> {
  const args = ['--no-install', 'monoceros', 'app.js', '-w', '1', '-b', '127.0.0.1:0']
  const child = spawn('npx', args, { cwd: project, env: withoutCargo(), detached: true })
  running.push(child)
  let output = ''
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${why}:\n${output}`))
    const timer = setTimeout(() => fail('it does not listen'), START_TIMEOUT_MS)
    const read = (chunk: Buffer) => {
      output += chunk
      const address = /Listening at: (http:\/\/127\.0\.0\.1:\d+)/.exec(output)?.[1]
      if (address === undefined) return
      clearTimeout(timer)
      resolve({ address, log: () => output })
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('exit', () => fail('monoceros ended'))
  })
}

/**
 * Sends requests until one is answered: without the addon the first worker is what makes the socket
 * listen.
 */
async function ask(url: string): Promise<string> {
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    try {
      return await (await fetch(url)).text()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** npx runs the command in a shell; the group is all of them. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGTERM')
  } catch {
    // It has ended by itself.
  }
}
