/**
 * A request that flows and has its body at once: what programs do to it between its events, and
 * what they see.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished, PassThrough } from 'node:stream'
import { exchange, request, until } from '../client.ts'
import type { Scenario, Scenarios } from '../suite.ts'

type Program = (req: IncomingMessage, res: ServerResponse, log: unknown[]) => void

const POST = request('POST', '/', ['Connection: close', 'Content-Length: 11'], 'hello world')

function textOf(value: unknown): unknown {
  return value === undefined || value === null ? value : String(value)
}

/** Logs the events of both, each with the state of the request. */
function flowing(program: Program): Scenario {
  return async ({ serve, settled }) => {
    const log: unknown[] = []
    let over = false
    const port = await serve((req, res) => {
      res.on('close', () => {
        over = true
      })
      const note = (name: string) => (value: unknown) => {
        const { readableEnded, readableFlowing, readableLength, destroyed, closed } = req
        const is = [readableEnded, readableFlowing, readableLength, destroyed, closed]
        log.push([name, textOf(value), is])
      }
      for (const name of ['end', 'error', 'aborted', 'pause']) req.on(name, note(`req ${name}`))
      for (const name of ['finish', 'close']) res.on(name, note(`res ${name}`))
      req.on('end', () => setTimeout(() => res.end('done'), 10))
      program(req, res, log)
      req.on('data', note('req data'))
    })
    const answer = await exchange(port, POST)
    await until(() => over)
    await settled(log)
    return [answer, log]
  }
}

export const flows: Scenarios = {
  'events of a flowing request': flowing(() => {}),
  "a flowing request with a 'close' listener": flowing((req, _res, log) => {
    req.on('close', () => log.push('req close'))
  }),
  "a flowing request that gets a 'close' listener in its 'end'": flowing((req, _res, log) => {
    req.on('end', () => process.nextTick(() => req.on('close', () => log.push('req close'))))
  }),
  "a flowing request with a 'resume' listener": flowing((req, _res, log) => {
    req.on('resume', () => log.push('req resume'))
  }),
  "a flowing request paused in its 'resume'": flowing((req, _res, log) => {
    req.once('resume', () => {
      req.pause()
      setTimeout(() => {
        log.push('resumed')
        req.resume()
      }, 10)
    })
  }),
  "a flowing request paused in its 'data'": flowing((req, _res, log) => {
    req.once('data', () => {
      req.pause()
      setTimeout(() => {
        log.push('resumed')
        req.resume()
      }, 10)
    })
  }),
  "a flowing request whose chunk is unshifted in its 'data'": flowing((req) => {
    req.once('data', (piece) => {
      req.pause()
      req.unshift(piece)
      setTimeout(() => req.resume(), 10)
    })
  }),
  "a flowing request whose chunk is unshifted a tick after its 'data'": flowing((req) => {
    req.once('data', (piece) => {
      req.pause()
      process.nextTick(() => req.unshift(piece))
      setTimeout(() => req.resume(), 10)
    })
  }),
  "a flowing request that gets a 'readable' listener in its 'data'": flowing((req, _res, log) => {
    req.once('data', () => req.on('readable', () => log.push(['readable', textOf(req.read())])))
  }),
  "a flowing request with a read() in its 'data'": flowing((req, _res, log) => {
    req.once('data', () => log.push(textOf(req.read())))
  }),
  "a flowing request with finished() in its 'data'": flowing((req, _res, log) => {
    req.once('data', () => finished(req, (error) => log.push(['finished', textOf(error)])))
  }),
  "a flowing request with finished() in its 'end'": flowing((req, _res, log) => {
    req.once('end', () => finished(req, (error) => log.push(['finished', textOf(error)])))
  }),
  "a flowing request destroyed in its 'end'": flowing((req, _res, log) => {
    req.once('end', () => req.destroy())
    req.on('close', () => log.push('req close'))
  }),
  "a flowing request destroyed with an error in its 'end'": flowing((req) => {
    req.once('end', () => req.destroy(new Error('no more')))
  }),
  "a flowing request without an 'end' listener": flowing((req, res) => {
    req.removeAllListeners('end')
    req.once('data', () => setTimeout(() => res.end('done'), 10))
  }),
  "a flowing request piped and with a 'data' listener": flowing((req, _res, log) => {
    const copy = new PassThrough()
    copy.on('data', (piece) => log.push(['copy', String(piece)]))
    copy.on('end', () => log.push('copy end'))
    req.pipe(copy)
  }),
  'a flowing request with a replaced emit': flowing((req, _res, log) => {
    const { emit } = req
    req.emit = (name: string, ...args: unknown[]) => {
      if (name !== 'readable') log.push(['emits', name])
      return Reflect.apply(emit, req, [name, ...args])
    }
  }),
}
