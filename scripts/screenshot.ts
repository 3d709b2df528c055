// Takes a picture of a page with Chromium, over the protocol of its developer tools.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'

const LIMIT_MS = 60_000
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync']

export interface Screenshot {
  /** Program to start. */
  readonly chromium: string
  readonly url: string
  readonly width: number
  /** Pixels of the picture for each pixel of the page. */
  readonly scale: number
  /** JavaScript that is true when the page is complete. */
  readonly isComplete: string
}

interface Message {
  readonly id?: number
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** Opens a page in a new browser; the result is a PNG of the whole page. */
export async function takeScreenshot({
  chromium,
  url,
  width,
  scale,
  isComplete,
}: Screenshot): Promise<Buffer> {
  const profile = mkdtempSync(join(tmpdir(), 'monoceros-chromium-'))
  const flags = [...FLAGS, '--remote-debugging-port=0', `--user-data-dir=${profile}`]
  const browser = spawn(chromium, flags, { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = new Promise((done) => browser.once('close', done))
  const limit = setTimeout(() => browser.kill('SIGKILL'), LIMIT_MS)
  try {
    const address = await new Promise<string>((resolve, reject) => {
      let log = ''
      browser.stderr.on('data', (chunk: Buffer) => {
        log += chunk
        const found = /DevTools listening on (ws:\S+)/.exec(log)?.[1]
        if (found !== undefined) resolve(found)
      })
      browser.once('error', reject)
      browser.once('close', () => reject(new Error(`${chromium} exited:\n${log}`)))
    })
    const socket = new WebSocket(address)
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    const { targetId } = await send<{ targetId: string }>(socket, 'Target.createTarget', { url })
    const { sessionId } = await send<{ sessionId: string }>(socket, 'Target.attachToTarget', {
      targetId,
      flatten: true,
    })
    const evaluate = async (expression: string) => {
      const answer = await send<{ result: { value?: unknown } }>(
        socket,
        'Runtime.evaluate',
        { expression, returnByValue: true },
        sessionId,
      )
      return answer.result.value
    }
    const size = { width, deviceScaleFactor: scale, mobile: false }
    const resize = (height: number) =>
      send(socket, 'Emulation.setDeviceMetricsOverride', { ...size, height }, sessionId)
    await resize(width)
    while (!(await evaluate(isComplete))) await new Promise((done) => setTimeout(done, 100))
    await resize(Number(await evaluate('document.documentElement.scrollHeight')))
    const { data } = await send<{ data: string }>(
      socket,
      'Page.captureScreenshot',
      { format: 'png' },
      sessionId,
    )
    socket.close()
    return Buffer.from(data, 'base64')
  } finally {
    clearTimeout(limit)
    browser.kill('SIGKILL')
    await exited
    rmSync(profile, { recursive: true, force: true })
  }
}

let lastId = 0

/** Sends a command; the promise rejects if the browser refuses it or has exited. */
function send<Result>(
  socket: WebSocket,
  method: string,
  params: object,
  sessionId?: string,
): Promise<Result> {
  const id = ++lastId
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new Error(`${method}: the browser has exited`))
    const onMessage = (data: unknown) => {
      const message: Message = JSON.parse(String(data))
      if (message.id !== id) return
      socket.off('message', onMessage).off('close', onClose)
      if (message.error === undefined) resolve(message.result as Result)
      else reject(new Error(`${method}: ${message.error.message}`))
    }
    socket.on('message', onMessage).on('close', onClose)
    socket.send(JSON.stringify({ id, method, params, sessionId }))
  })
}
