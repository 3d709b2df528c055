// Builds a project of each framework in a temporary folder and serves it unchanged with the
// built command and two workers; whole programs are served as npm installs them. Requests check the
// responses over HTTP, before and after a reload; one request is repeated throughout the reload. A
// headless Chromium checks a page that runs scripts, and a project may have its own client.
// Usage: `tsx scripts/frameworks.ts [name...]`, by hand, because it installs packages from the
// registry. `KEEP=1` keeps the folders.

import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT } from './command.ts'
import { PROGRAMS } from './frameworks/programs.ts'
import { type ExpectedResponse, PROJECTS, type Project } from './frameworks/projects.ts'
import { ServerLog } from './frameworks/server-log.ts'

/** Time limits for a build step, for the start, and for a page (virtual time), in milliseconds. */
const [STEP_MS, START_MS, PAGE_MS] = [300_000, 60_000, 10_000]
/** How often a page is loaded before its check fails. */
const PAGE_TRIES = 3

const all: Readonly<Record<string, Project>> = { ...PROJECTS, ...PROGRAMS }
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(all)
let failures = 0
for (const name of names) {
  const project = all[name]
  if (project === undefined) throw new Error(`no project ${name}`)
  const faults = await check(project).catch((error: unknown) => [String(error)])
  console.log(`${name}: ${faults.length === 0 ? 'works' : faults.join('; ')}`)
  if (faults.length > 0) failures++
}
process.exitCode = failures === 0 ? 0 : 1

/** Builds, serves and checks a project; returns a text for each fault. */
async function check(project: Project): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'monoceros-framework-'))
  try {
    writeProject(folder, project)
    await runStep(folder, 'npm', ['install', '--legacy-peer-deps', '--no-audit', '--no-fund'])
    if (project.build !== undefined) await runStep(folder, 'npx', project.build)
    for (const [from, to] of Object.entries(project.copies ?? {})) {
      cpSync(join(folder, from), join(folder, to), { recursive: true })
    }
    return await serve(folder, project)
  } finally {
    if (process.env.KEEP === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

function writeProject(folder: string, { packages, files, manifest }: Project): void {
  const dependencies = Object.fromEntries(
    packages.map((it) => {
      const at = it.lastIndexOf('@')
      return at > 0 ? [it.slice(0, at), it.slice(at + 1)] : [it, 'latest']
    }),
  )
  const written = { ...files, 'package.json': JSON.stringify({ ...manifest, dependencies }) }
  for (const [name, text] of Object.entries(written)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/** Runs one command of a build and returns its output. */
async function runStep(folder: string, file: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
  const child = spawn(file, args, { cwd: folder, env, timeout: STEP_MS })
  const { status, text } = await output(child)
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} failed:\n${text.slice(-2_000)}`)
  return text
}

/** Serves a built project and returns a text for each failed check. */
async function serve(folder: string, project: Project): Promise<string[]> {
  const cwd = join(folder, project.cwd ?? '.')
  const workers = Number(project.env?.WEB_CONCURRENCY ?? '2')
  const options = ['-w', String(workers), '-b', '127.0.0.1:0', '--log-level', 'debug']
  const own = project.args === undefined ? [] : ['--', ...project.args]
  const main = join(ROOT, 'dist/cli/main.js')
  const child = spawn(process.execPath, [main, project.app, ...options, ...own], {
    cwd,
    env: { ...process.env, ...project.env },
  })
  const log = new ServerLog(child)
  const exited = output(child)
  try {
    await log.untilReady(workers)
    const port = log.port()
    const faults: string[] = []
    for (const each of project.requests) faults.push(...(await sendRequest(port, each)))
    if (project.page !== undefined) faults.push(...(await checkPage(port, project.page)))
    if (project.client !== undefined) {
      const text = await runStep(folder, process.execPath, [project.client, String(port)])
      if (text.trim() !== 'ok') faults.push(`${project.client} printed ${text.trim()}`)
    }
    faults.push(...(await reload({ child, log, workers }, project)))
    child.kill('SIGTERM')
    const { status } = await exited
    if (status !== 0) faults.push(`exit status ${status}`)
    return faults
  } finally {
    child.kill('SIGKILL')
  }
}

interface Server {
  readonly child: ChildProcess
  readonly log: ServerLog
  readonly workers: number
}

/**
 * Reloads the server while the first request is repeated, each time on a new connection, and sends
 * all requests to the new workers. Returns a text for each response that differs.
 */
async function reload({ child, log, workers }: Server, { requests }: Project): Promise<string[]> {
  const faults: string[] = []
  const port = log.port()
  let isReloaded = false
  child.kill('SIGHUP')
  const ready = log.untilReady(2 * workers).finally(() => {
    isReloaded = true
  })
  const [first] = requests
  while (!isReloaded && faults.length === 0 && first !== undefined) {
    faults.push(...(await sendRequest(port, first)))
  }
  await ready
  for (const each of requests) faults.push(...(await sendRequest(port, each)))
  return faults.map((fault) => `in or after a reload: ${fault}`)
}

async function sendRequest(
  port: number,
  { path, body, fields, expected }: ExpectedResponse,
): Promise<string[]> {
  const init = body === undefined ? {} : { method: 'POST', body }
  const url = `http://127.0.0.1:${port}${path}`
  const response = await fetch(url, { ...init, headers: { ...fields, connection: 'close' } })
  const text = await response.text()
  return expected.test(text) ? [] : [`${path} responded ${response.status} ${text.slice(0, 300)}`]
}

async function checkPage(port: number, page: RegExp): Promise<string[]> {
  const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
  if (browser === undefined) return ['Chromium is not installed, so the page is not checked']
  const args = ['--headless', '--no-sandbox', '--disable-gpu', `--virtual-time-budget=${PAGE_MS}`]
  let shown = ''
  // The virtual time of the page does not wait for WebSocket messages, so on a busy machine the
  // page may be dumped too early.
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

/** Collects the output of a program until it exits. */
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
