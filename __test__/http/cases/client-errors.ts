/**
 * The events of 'clientError' for refused requests. The engine writes the response itself, so only
 * the events are compared; on the native engine, what the listener writes is dropped.
 */
import http from 'node:http'
import type { Socket } from 'node:net'
import { RawClient, request, until } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type ParseError = NodeJS.ErrnoException & { rawPacket?: Buffer; reason?: string }

/** Sends a text and logs the events that the program receives. */
function eventsOf(text: string, { listen = true, rest = '' } = {}): Scenario {
  return async ({ serve, settled }) => {
    const log: unknown[] = []
    const server = http.createServer((req, res) => {
      log.push(['request', req.url])
      req.on('error', (error: NodeJS.ErrnoException) => log.push(['request error', error.code]))
      req.on('close', () => log.push(['request close', req.complete]))
      req.resume()
      req.on('end', () => res.end('x'))
    })
    const onError = (error: ParseError, socket: Socket) => {
      log.push(['clientError', error.code, error instanceof Error, socket.destroyed])
      log.push([socket.remoteAddress, socket.writable, Buffer.isBuffer(error.rawPacket)])
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
      socket.on('close', () => log.push(['socket close']))
    }
    // Once: Node emits an event for every further piece of a head that is too long.
    if (listen) server.once('clientError', onError)
    const client = new RawClient(await serve(server)).send(text)
    if (rest !== '') {
      await until(() => log.length > 0)
      client.send(rest)
    }
    const answer = await client.untilClosed()
    client.destroy()
    if (listen)
      await until(() => log.some((line) => Array.isArray(line) && line[0] === 'socket close'))
    await settled(log)
    return [/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]?.[0], log]
  }
}

const long = 'x'.repeat(200_000)

export const clientErrors: Scenarios = {
  'clientError: a bad method': eventsOf('G@T / HTTP/1.1\r\nHost: test\r\n\r\n'),
  'clientError: no request at all': eventsOf('oooops!\r\n\r\n'),
  'clientError: a bad length': eventsOf(request('POST', '/', ['Content-Length: abc'])),
  'clientError: a field without a name': eventsOf(request('GET', '/', [': x'])),
  'clientError: a name with a space': eventsOf(request('GET', '/', ['a b: x'])),
  'clientError: a head that is too long': eventsOf(request('GET', '/', [`a: ${long}`])),
  'clientError: a bad chunk after a good one': eventsOf(
    request('POST', '/c', ['Transfer-Encoding: chunked'], '3\r\nabc\r\n'),
    { rest: 'zz\r\nabc\r\n' },
  ),
  'no clientError for a request without Host': eventsOf('GET / HTTP/1.1\r\n\r\n', {
    listen: false,
  }),
  "without a 'clientError' listener refused input emits no event": eventsOf(
    'G@T / HTTP/1.1\r\nHost: test\r\n\r\n',
    {
      listen: false,
    },
  ),
}
