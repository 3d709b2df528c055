/** A client of HTTP/2, by node:http2, on one connection. */
import http2 from 'node:http2'

const PATIENCE_MS = 10_000

export interface Answer {
  readonly status: number
  readonly headers: http2.IncomingHttpHeaders
  readonly body: Buffer
  readonly trailers: http2.IncomingHttpHeaders
  /** The statuses of interim answers. */
  readonly interim: readonly number[]
}

export class Http2Client {
  readonly session: http2.ClientHttp2Session

  constructor(url: string, options: http2.SecureClientSessionOptions = {}) {
    this.session = http2.connect(url, options)
    // Requests hear of it.
    this.session.on('error', () => {})
  }

  /** Begins a request. */
  request(headers: http2.OutgoingHttpHeaders): http2.ClientHttp2Stream {
    return this.session.request(headers)
  }

  ask(path: string, options: { headers?: object; body?: string | Buffer } = {}): Promise<Answer> {
    const { headers = {}, body } = options
    const method = body === undefined ? 'GET' : 'POST'
    const stream = this.request({ ':path': path, ':method': method, ...headers })
    stream.end(body)
    return answerOf(stream)
  }

  close(): void {
    this.session.destroy()
  }
}

/** Reads a whole answer. */
export function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer came')), PATIENCE_MS)
    const pieces: Buffer[] = []
    const interim: number[] = []
    let headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {}
    let trailers: http2.IncomingHttpHeaders = {}
    stream.on('headers', (told) => interim.push(told[':status'] ?? 0))
    stream.on('response', (told) => {
      headers = told
    })
    stream.on('trailers', (told) => {
      trailers = told
    })
    stream.on('data', (piece: Buffer) => pieces.push(piece))
    stream.on('error', reject)
    stream.on('end', () => {
      const status = headers[':status'] ?? 0
      resolve({ status, headers, body: Buffer.concat(pieces), trailers, interim })
    })
    stream.on('close', () => {
      clearTimeout(timer)
      reject(new Error(`the stream closed with code ${stream.rstCode}`))
    })
  })
}
