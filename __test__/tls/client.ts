// A TLS client that reports what the server showed.
import type { Buffer } from 'node:buffer'
import tls from 'node:tls'

import type { ExecutionContext } from 'ava'

import { startProgram } from '../process/program.ts'
import type { Certificates } from './certificates.ts'

export interface Met {
  /** The common name of the certificate that was shown. */
  readonly shown: string
  readonly reused: boolean
  readonly protocol: string | null
  readonly cipher: string
  /** The body of the answer, as JSON. */
  readonly body: Record<string, unknown>
  /** A session to come back with. */
  readonly session: Buffer | undefined
}

/** Connects, sends one request and reads to the end; rejects if the server refuses the client. */
export function meet(port: number, options: tls.ConnectionOptions = {}): Promise<Met> {
  return new Promise((done, fail) => {
    let text = ''
    let session: Buffer | undefined
    const socket = tls.connect({
      ...{ port, host: '127.0.0.1', rejectUnauthorized: false },
      ...options,
    })
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer')))
    socket.on('session', (one) => {
      session = one
    })
    socket.on('error', fail)
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    socket.setEncoding('utf8').on('data', (piece) => {
      text += piece
    })
    socket.on('secureConnect', () => {
      const facts = {
        shown: String(socket.getPeerCertificate().subject?.CN ?? ''),
        reused: socket.isSessionReused(),
        protocol: socket.getProtocol(),
        cipher: socket.getCipher().standardName,
      }
      socket.on('end', () => {
        const body = text.split('\r\n\r\n')[1]
        if (body === undefined) fail(new Error('no answer'))
        else done({ ...facts, body: JSON.parse(body), session })
      })
    })
  })
}

/** Returns the code of the error with which a client is refused, or `let in`. */
export async function refusal(port: number, options: tls.ConnectionOptions): Promise<string> {
  try {
    await meet(port, options)
  } catch (error) {
    return String((error as { code?: string }).code ?? (error as Error).message)
  }
  return 'let in'
}

/** Requests the OCSP response in a handshake. */
export function requestOcspResponse(port: number, options: tls.ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      ...{ port, host: '127.0.0.1', requestOCSP: true, rejectUnauthorized: false },
      ...options,
    })
    socket.setTimeout(20_000, () => socket.destroy(new Error('no OCSP response')))
    socket.on('error', reject)
    socket.on('OCSPResponse', (response: Buffer) => {
      socket.destroy()
      resolve(response)
    })
  })
}

/** An application that responds with what it sees of the client. */
export const SHOWING_APP = `module.exports = (req, res) => {
  const { socket } = req
  const certificate = socket.getPeerCertificate?.(true) ?? {}
  res.setHeader('Content-Type', 'application/json')
  const body = JSON.stringify({
    pid: process.pid,
    isTls: socket instanceof require('node:tls').TLSSocket,
    encrypted: socket.encrypted,
    authorized: socket.authorized,
    error: socket.authorizationError,
    protocol: socket.getProtocol?.(),
    cipher: socket.getCipher?.(),
    name: socket.servername,
    alpn: socket.alpnProtocol,
    reused: socket.isSessionReused?.(),
    client: certificate.subject?.CN,
    issuer: certificate.issuer?.CN,
    serial: certificate.serialNumber === socket.getPeerX509Certificate?.()?.serialNumber,
    password: process.env.TLS_PASSWORD,
  })
  res.setHeader('Content-Length', body.length)
  res.end(body)
}`

export interface Secure {
  readonly args: readonly string[]
  readonly engine: string
  readonly env?: Record<string, string>
}

/** Starts the command with `SHOWING_APP` and the certificates; resolves when a worker is ready. */
export async function startSecure(
  t: ExecutionContext,
  certificates: Certificates,
  { args, engine, env = {} }: Secure,
) {
  const program = startProgram(t, {
    files: { ...certificates.files(), 'app.cjs': SHOWING_APP },
    args: ['./app.cjs', '--engine', engine, '--log-level', 'debug', '-b', '127.0.0.1:0', ...args],
    env,
  })
  const [, port] = await program.line(/Listening at: https:\/\/127\.0\.0\.1:(\d+)/)
  await program.line(/Worker ready/)
  return { program, port: Number(port) }
}
