// Asks a server whether it is there, in its own language.

import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { Readable } from 'node:stream'
import type { Spoken } from './cases.ts'

const PATIENCE_MS = 2_000

/** Where a server is. */
export function urlOf(port: number, { secure = false }: Spoken): string {
  return `${secure ? 'https' : 'http'}://127.0.0.1:${port}`
}

/** Whether it answers as it should. */
export async function answers(port: number, spoken: Spoken): Promise<boolean> {
  try {
    const ask = spoken.http2 === true ? overHttp2 : overHttp1
    return (await ask(urlOf(port, spoken))).includes('Hello, World!')
  } catch {
    // The server does not listen yet.
    return false
  }
}

// The certificate is the run's own.
const TRUST = { rejectUnauthorized: false }

function overHttp1(url: string): Promise<string> {
  const { get } = url.startsWith('https:') ? https : http
  return new Promise((resolve, reject) => {
    const request = get(url, { ...TRUST, agent: false }, (response) => {
      textOf(response).then(resolve, reject)
    })
    request.setTimeout(PATIENCE_MS, () => request.destroy(new Error('no answer')))
    request.on('error', reject)
  })
}

function overHttp2(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(url, TRUST)
    session.setTimeout(PATIENCE_MS, () => session.destroy(new Error('no answer')))
    session.on('error', reject)
    const stream = session.request({ ':path': '/' })
    textOf(stream)
      .then(resolve, reject)
      .finally(() => session.destroy())
  })
}

async function textOf(stream: Readable): Promise<string> {
  let text = ''
  for await (const piece of stream) text += piece
  return text
}
