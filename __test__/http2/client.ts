/** An HTTP/2 client on one connection, based on node:http2. */
import http2 from 'node:http2'

const RESPONSE_TIMEOUT_MS = 10_000

export interface Http2Response {
  readonly status: number
  readonly headers: http2.IncomingHttpHeaders
  readonly body: Buffer
  readonly trailers: http2.IncomingHttpHeaders
  /** Status codes of the interim (1xx) responses. */
  readonly interim: readonly number[]
}

export class Http2Client {
  readonly session: http2.ClientHttp2Session

  constructor(url: string, options: http2.SecureClientSessionOptions = {}) {
    this.session = http2.connect(url, options)
    // Each pending request reports the error itself.
    this.session.on('error', () => {})
  }

  /** Starts a request and returns its stream. */
  request(headers: http2.OutgoingHttpHeaders): http2.ClientHttp2Stream {
    return this.session.request(headers)
  }

  /** Sends a request, POST if it has a body, and reads the response. */
  fetch(
    path: string,
    options: { headers?: object; body?: string | Buffer } = {},
  ): Promise<Http2Response> {
    const { headers = {}, body } = options
    const method = body === undefined ? 'GET' : 'POST'
    const stream = this.request({ ':path': path, ':method': method, ...headers })
    stream.end(body)
    return readResponse(stream)
  }

  close(): void {
    this.session.destroy()
  }
}

/** Reads a whole response; rejects if the stream is reset or nothing arrives in time. */
export function readResponse(stream: http2.ClientHttp2Stream): Promise<Http2Response> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no response arrived')), RESPONSE_TIMEOUT_MS)
    const chunks: Buffer[] = []
    const interim: number[] = []
    let headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {}
    let trailers: http2.IncomingHttpHeaders = {}
    stream.on('headers', (fields) => interim.push(fields[':status'] ?? 0))
    stream.on('response', (fields) => {
      headers = fields
    })
    stream.on('trailers', (fields) => {
      trailers = fields
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('end', () => {
      const status = headers[':status'] ?? 0
      resolve({ status, headers, body: Buffer.concat(chunks), trailers, interim })
    })
    stream.on('close', () => {
      clearTimeout(timer)
      reject(new Error(`the stream closed with code ${stream.rstCode}`))
    })
  })
}
