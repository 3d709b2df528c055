// Takes a picture of the status page, docs/status-page.png: starts an application with two
// workers, sends it requests of several durations with a few errors, replaces the workers once, and
// lets Chromium render the page: `npx tsx scripts/status-picture.ts [CHROMIUM]`.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMain, ROOT, startCommand } from './command.ts'
import { takeScreenshot } from './screenshot.ts'

const PICTURE = join(ROOT, 'docs/status-page.png')
const MAX_BYTES = 150_000
const SECONDS_OF_LOAD = 75
const RELOAD_AFTER_MS = 40_000
const WIDTH = 1100
/** Pixels of the picture for each pixel of the page. */
const SCALE = 0.85
const CLIENTS = 6
/** Longest wait of a client between two requests; it changes over time, so that the charts do. */
const MAX_PAUSE_MS = 120
const ERROR_SHARE = 0.02

const APP = `module.exports = (req, res) => {
  if (req.url === '/failure') res.statusCode = 500
  setTimeout(() => res.end('hello'), 5 + 60 * Math.random() ** 4)
}`

/** Sends requests until a time; the pauses follow a slow wave. */
async function load(port: number, end: number): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS })
  const request = (path: string) =>
    new Promise<void>((done) => {
      const sent = http.get({ host: '127.0.0.1', port, path, agent }, (response) =>
        response.resume().on('end', done),
      )
      sent.on('error', () => done())
    })
  const client = async () => {
    while (Date.now() < end) {
      await request(Math.random() < ERROR_SHARE ? '/failure' : '/')
      const wave = (1 + Math.sin(Date.now() / 9_000)) / 2
      await new Promise((done) => setTimeout(done, 10 + wave * MAX_PAUSE_MS * Math.random()))
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  agent.destroy()
}

async function takePicture(chromium: string): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'monoceros-picture-'))
  writeFileSync(join(directory, 'app.cjs'), APP)
  const args = ['app.cjs', '-w', '2', '--metrics-bind', '127.0.0.1:0']
  const server = await startCommand(directory, args)
  try {
    const page = /Metrics at: (\S+)/.exec(server.log())?.[1]
    if (page === undefined) throw new Error(`the server has no status page:\n${server.log()}`)
    const end = Date.now() + SECONDS_OF_LOAD * 1_000
    const requests = load(server.port, end)
    setTimeout(() => process.kill(server.pid, 'SIGHUP'), RELOAD_AFTER_MS)
    await new Promise((done) => setTimeout(done, end - Date.now() - 15_000))
    const picture = await takeScreenshot({
      chromium,
      url: page,
      width: WIDTH,
      scale: SCALE,
      isComplete: "document.querySelectorAll('#workers tbody tr').length === 2",
    })
    writeFileSync(PICTURE, picture)
    console.log(`${PICTURE}: ${picture.length} bytes`)
    await requests
    return picture.length <= MAX_BYTES
  } finally {
    await server.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

if (isMain(import.meta.url)) {
  const chromium = process.argv[2] ?? '/usr/bin/chromium'
  process.exitCode = (await takePicture(chromium)) ? 0 : 1
}
