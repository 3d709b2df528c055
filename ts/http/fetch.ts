/**
 * Serves applications of style `fetch`: a function that takes a `Request` and returns a `Response`.
 */

import { abandonHandler } from '../engine/background-work.ts'
import type { Exchange, ExchangeHandler, ExchangeOwner } from '../engine/exchange.ts'
import { CONNECTION, DATE, LENGTH, NO_BODY } from '../engine/exchange.ts'
import { logThrown } from '../log/log-lines.ts'
import type { RequestBody } from './fetch/body.ts'
import { RequestBody as Body } from './fetch/body.ts'
import { FetchContext, FetchEnvironment } from './fetch/environment.ts'
import { installFetchGlobals } from './fetch/globals.ts'
import type { IncomingRequest } from './fetch/request.ts'
import { LazyRequest } from './fetch/request.ts'
import type { RequestHeaders } from './fetch/request-headers.ts'
import type { OutgoingResponse } from './fetch/send.ts'
import { sendResponse } from './fetch/send.ts'
import { absoluteUrl } from './fetch/url.ts'
import { connectionReset, notAResponse } from './node/errors.ts'

/** The function that applications for Hono, h3, Deno, Bun and Cloudflare export as `fetch`. */
export type FetchFunction = (
  request: Request,
  env?: unknown,
  context?: unknown,
) => Response | Promise<Response>

/** The log for errors of a fetch function. */
export interface FetchLog {
  exception(text: string, thrown: unknown): void
}

const PLAIN_TEXT = 'content-type: text/plain;charset=UTF-8\r\n'

/** Creates the handler that calls a fetch function for each exchange. */
export function createFetchHandler(fetch: FetchFunction, log: FetchLog): ExchangeHandler {
  installFetchGlobals()
  return new FetchHandler(fetch, log)
}

class FetchHandler implements ExchangeHandler {
  readonly #fetch: FetchFunction
  readonly #log: FetchLog
  readonly #context: FetchContext

  constructor(fetch: FetchFunction, log: FetchLog) {
    this.#fetch = fetch
    this.#log = log
    this.#context = new FetchContext((thrown) =>
      logThrown(log, { name: 'waitUntilRejected', thrown }),
    )
  }

  onExchange(exchange: Exchange): void {
    const url = absoluteUrl(exchange.connection.encrypted, exchange.host, exchange.url)
    if (url === undefined) {
      sendError(exchange, 400, 'Bad Request')
      return
    }
    const fetchExchange = new FetchExchange(exchange, url)
    exchange.owner = fetchExchange
    // Its prototype is that of `Request`, which TypeScript does not see.
    const request: unknown = new LazyRequest(fetchExchange)
    let response: Response | Promise<Response>
    // Applications of this style expect that an error fails one request and never ends the process.
    try {
      response = this.#fetch(request as Request, new FetchEnvironment(exchange), this.#context)
    } catch (thrown) {
      this.#fail(fetchExchange, thrown)
      return
    }
    // Any other value is awaited: it may be a promise of a library.
    if (response instanceof Response) this.#send(fetchExchange, response)
    else this.#sendWhenResolved(fetchExchange, response)
  }

  async #sendWhenResolved(
    fetchExchange: FetchExchange,
    response: Response | Promise<Response>,
  ): Promise<void> {
    try {
      this.#send(fetchExchange, await response)
    } catch (thrown) {
      this.#fail(fetchExchange, thrown)
    }
  }

  #send(fetchExchange: FetchExchange, response: Response): void {
    fetchExchange.isHandled = true
    if (fetchExchange.isAborted || fetchExchange.exchange.ended) {
      response?.body?.cancel().catch(ignoreCancelError)
      return
    }
    let streaming: Promise<void> | undefined
    fetchExchange.body?.noteResponse()
    try {
      streaming = sendResponse(fetchExchange, toResponse(response))
    } catch (thrown) {
      this.#fail(fetchExchange, thrown)
      return
    }
    fetchExchange.isHeadSent = true
    streaming?.catch((thrown: unknown) => {
      if (fetchExchange.isAborted) return
      logThrown(this.#log, { name: 'responseBodyFailed', thrown }, describeRequest(fetchExchange))
      fetchExchange.exchange.reset()
    })
  }

  #fail(fetchExchange: FetchExchange, thrown: unknown): void {
    fetchExchange.isHandled = true
    if (fetchExchange.isAborted) return
    logThrown(this.#log, { name: 'requestFailed', thrown }, describeRequest(fetchExchange))
    fetchExchange.onThrown()
  }
}

/** One exchange with a fetch function: the state of its request and of its response. */
class FetchExchange implements ExchangeOwner, IncomingRequest, OutgoingResponse {
  readonly exchange: Exchange
  readonly url: string
  isAborted = false
  /** The fetch function has returned a response, or has failed. */
  isHandled = false
  /** The head of the response has been passed to the engine. */
  isHeadSent = false
  headers: RequestHeaders | undefined = undefined
  native: Request | undefined = undefined
  body: RequestBody | undefined = undefined
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined = undefined
  // Used by this file alone. They are public since a private field costs time in each construction.
  controller: AbortController | undefined = undefined
  onRoom: (() => void) | undefined = undefined

  constructor(exchange: Exchange, url: string) {
    this.exchange = exchange
    this.url = url
  }

  signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.isAborted) this.controller.abort()
    }
    return this.controller.signal
  }

  waitForRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.onRoom = resolve
    })
  }

  onData(chunk: Buffer): void {
    this.body ??= new Body(this.exchange)
    this.body.onData(chunk)
  }

  onEnd(): void {
    this.body ??= new Body(this.exchange)
    this.body.onEnd()
  }

  onDrain(): void {
    this.onRoom?.()
    this.onRoom = undefined
  }

  onThrown(): void {
    const { exchange } = this
    if (this.isAborted || exchange.ended) return
    if (this.isHeadSent) exchange.reset()
    else sendError(exchange, 500, 'Internal Server Error')
  }

  onAborted(): void {
    this.isAborted = true
    abandonHandler(() => this.isHandled)
    const reason = connectionReset()
    this.body?.fail(reason)
    this.controller?.abort()
    this.reader?.cancel(reason).catch(ignoreCancelError)
    this.onDrain()
  }
}

/**
 * Checks that a fetch function has returned a `Response`. One of a polyfill is copied to a
 * `Response` of node, which checks each part.
 */
function toResponse(value: unknown): Response {
  if (value instanceof Response) return value
  const isLikeOne =
    typeof value === 'object' && value !== null && 'status' in value && 'headers' in value
  if (!isLikeOne) throw notAResponse(value)
  // The properties of a polyfill's response are checked by the constructor.
  const { body, status, statusText, headers } = value as Response
  return new Response(body, { status, statusText, headers })
}

/** Does nothing: the response is no longer wanted, so an error of its stream is of no interest. */
function ignoreCancelError(): void {}

/** The request as the log shows it with an error. */
function describeRequest({ exchange }: FetchExchange): string {
  return `${exchange.method} ${exchange.url}`
}

/** Sends a plain text response for an error. */
function sendError(exchange: Exchange, status: number, text: string): void {
  const flags = DATE | CONNECTION | LENGTH | (exchange.method === 'HEAD' ? NO_BODY : 0)
  exchange.respond(status, undefined, PLAIN_TEXT, flags, text, 'utf8')
}
