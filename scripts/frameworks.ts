// `tsx scripts/frameworks.ts [name...]`: builds a project of each framework in a temporary folder, serves it unchanged by
// the built command with two workers, and asks it: by HTTP, by a headless Chromium where a page has to come to life, by
// a client of its own where it has one. Run by hand, since it installs from the registry; KEEP=1 keeps the folders.

import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT } from './command.ts'
import { PROJECTS, type Project, type Question } from './frameworks/projects.ts'

const STEP_MS = 300_000
const START_MS = 60_000
const PAGE_MS = 10_000
const PAGE_TRIES = 3

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PROJECTS)
let failures = 0
for (const name of names) {
  const project = PROJECTS[name]
  if (project === undefined) throw new Error(`no project ${name}`)
  const trouble = await check(project).catch((error: unknown) => [String(error)])
  console.log(`${name}: ${trouble.length === 0 ? 'works' : trouble.join('; ')}`)
  if (trouble.length > 0) failures++
}
process.exitCode = failures === 0 ? 0 : 1

/** What is wrong with it. */
async function check(project: Project): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'monoceros-framework-'))
  try {
    prepare(folder, project)
    await step(folder, 'npm', ['install', '--legacy-peer-deps', '--no-audit', '--no-fund'])
    if (project.build !== undefined) await step(folder, 'npx', project.build)
    for (const [from, to] of Object.entries(project.copies ?? {})) {
      cpSync(join(folder, from), join(folder, to), { recursive: true })
    }
    return await serve(folder, project)
  } finally {
    if (process.env.KEEP === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

function prepare(folder: string, { packages, files, manifest }: Project): void {
  const dependencies = Object.fromEntries(
    packages.map((it) => {
      const at = it.lastIndexOf('@')
      return at > 0 ? [it.slice(0, at), it.slice(at + 1)] : [it, 'latest']
    }),
  )
  const all = { ...files, 'package.json': JSON.stringify({ ...manifest, dependencies }) }
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

async function step(folder: string, file: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
  const child = spawn(file, args, { cwd: folder, env, timeout: STEP_MS })
  const { status, text } = await output(child)
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} failed:\n${text.slice(-2_000)}`)
  return text
}

async function serve(folder: string, project: Project): Promise<string[]> {
  const cwd = join(folder, project.cwd ?? '.')
  const workers = project.env?.WEB_CONCURRENCY ?? '2'
  const args = [project.app, '-w', workers, '-b', '127.0.0.1:0', '--log-level', 'debug']
  const child = spawn(process.execPath, [join(ROOT, 'dist/cli/main.js'), ...args], {
    cwd,
    env: { ...process.env, ...project.env },
  })
  const ended = output(child)
  try {
    const port = await listening(child, Number(workers))
    const trouble: string[] = []
    for (const question of project.asked) trouble.push(...(await ask(port, question)))
    if (project.page !== undefined) trouble.push(...(await browse(port, project.page)))
    if (project.client !== undefined) {
      const text = await step(folder, process.execPath, [project.client, String(port)])
      if (text.trim() !== 'ok') trouble.push(`${project.client} printed ${text.trim()}`)
    }
    child.kill('SIGTERM')
    const { status } = await ended
    if (status !== 0) trouble.push(`exit status ${status}`)
    return trouble
  } finally {
    child.kill('SIGKILL')
  }
}

/** The port, once every worker is ready. */
function listening(child: ChildProcess, workers: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = ''
    const late = setTimeout(() => reject(new Error(`not ready:\n${log}`)), START_MS)
    const look = (text: Buffer): void => {
      log += text
      const port = /Listening at: http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1]
      if (port === undefined || log.split('Worker ready').length <= workers) return
      clearTimeout(late)
      resolve(Number(port))
    }
    child.stderr?.on('data', look)
    child.on('exit', () => reject(new Error(`ended:\n${log}`)))
  })
}

async function ask(port: number, { path, body, fields, expected }: Question): Promise<string[]> {
  const init = body === undefined ? {} : { method: 'POST', body }
  const url = `http://127.0.0.1:${port}${path}`
  const answer = await fetch(url, { ...init, headers: { ...fields, connection: 'close' } })
  const text = await answer.text()
  return expected.test(text) ? [] : [`${path} answered ${answer.status} ${text.slice(0, 300)}`]
}

async function browse(port: number, page: RegExp): Promise<string[]> {
  const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (browser === undefined) return ['no Chromium to look at the page']
  const args = ['--headless', '--no-sandbox', '--disable-gpu', `--virtual-time-budget=${PAGE_MS}`]
  let shown = ''
  // The page's time is virtual and does not wait for what comes by a WebSocket: on a busy machine it is over before.
  for (let tries = 0; tries < PAGE_TRIES; tries++) {
    const child = spawn(browser, [...args, '--dump-dom', `http://127.0.0.1:${port}/`], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: START_MS,
    })
    shown = (await output(child)).text
    if (page.test(shown)) return []
  }
  return [`the page shows ${shown.slice(-300)}`]
}

function output(child: ChildProcess): Promise<{ status: number | null; text: string }> {
  return new Promise((resolve) => {
    let text = ''
    child.stdout?.on('data', (piece) => {
      text += piece
    })
    child.stderr?.on('data', (piece) => {
      text += piece
    })
    child.on('close', (status) => resolve({ status, text }))
  })
}
