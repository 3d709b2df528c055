import { AsyncLocalStorage, AsyncResource, createHook, executionAsyncId } from 'node:async_hooks'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { Readable } from 'node:stream'
import test from 'ava'
import { native } from '../../ts/native/index.ts'
import { until } from './client.ts'
import { startNative, startNode, stopNative } from './engines.ts'

const engines = { node: startNode, ...(native === null ? {} : { native: startNative }) }

/**
 * Node's own contexts leak over the requests of a connection before Node 24, and the engine on
 * node:http has them.
 */
const NODE_LEAKS = Number(process.versions.node.split('.')[0]) < 24

const CONNECTIONS = 50
const EACH = 200

test.after.always(stopNative)

for (const [name, start] of Object.entries(engines)) {
  test.serial(
    `${name}: 10,000 interleaved requests each have their own async context`,
    async (t) => {
      const storage = new AsyncLocalStorage<number>()
      let next = 0
      let foreign = 0
      let lost = 0
      const look = (mine: number): void => {
        if (storage.getStore() !== mine) lost++
      }
      const server = http.createServer(async (req, res) => {
        if (storage.getStore() !== undefined) foreign++
        const mine = next++
        storage.enterWith(mine)
        res.on('finish', () => look(mine))
        res.on('close', () => look(mine))
        await null
        look(mine)
        // By different ways back into the request, so that many are under way at once.
        if (mine % 3 === 0) await new Promise((resolve) => setTimeout(resolve, mine % 4))
        if (mine % 3 === 1) await new Promise((resolve) => setImmediate(resolve))
        look(mine)
        req.resume()
        res.end(String(mine))
      })
      const { port, close } = await start(server)
      await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(port, EACH)))
      close()
      t.is(next, CONNECTIONS * EACH)
      if (name === 'native') t.deepEqual([foreign, lost], [0, 0])
      else if (NODE_LEAKS) t.true(foreign > 0, 'Node has fixed what the note describes')
      else t.is(foreign, 0)
    },
  )
}

for (const [name, start] of Object.entries(engines)) {
  test.serial(
    `${name}: connections and requests begin in the async context of their listen()`,
    async (t) => {
      const storage = new AsyncLocalStorage<string>()
      const seen: unknown[] = []
      const look = (event: string): void => void seen.push([event, storage.getStore()])
      // The triggers of each async resource, by which node:test finds the test of a request.
      const triggers = new Map<number, number>()
      const hook = createHook({ init: (id, _type, trigger) => void triggers.set(id, trigger) })
      hook.enable()
      t.teardown(() => hook.disable())
      const isTriggeredBy = (id: number): boolean => {
        for (let now = executionAsyncId(); now > 0; now = triggers.get(now) ?? 0) {
          if (now === id) return true
        }
        return false
      }
      for (const store of ['first', undefined, 'last']) {
        let listenId = 0
        const server = http.createServer((_req, res) => {
          seen.push(['trigger', isTriggeredBy(listenId)])
          look('request')
          storage.enterWith('a request')
          res.end('x')
        })
        server.on('connection', () => look('connection'))
        const { port, close } = await storage.run(store as string, () => {
          const resource = new AsyncResource('LISTEN')
          listenId = resource.asyncId()
          return resource.runInAsyncScope(start, undefined, server)
        })
        const socket = net.connect(port, '127.0.0.1')
        socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        await once(socket, 'data')
        socket.destroy()
        close()
        t.deepEqual(seen.splice(0), [
          ['connection', store],
          ['trigger', true],
          ['request', store],
        ])
      }
    },
  )
}

for (const [name, start] of Object.entries(engines)) {
  test.serial(
    `${name}: writes that wait for room call back in the async context of their request`,
    async (t) => {
      const storage = new AsyncLocalStorage<string>()
      const seen = new Map<string, Set<string | undefined>>()
      const look = (what: string): void => {
        const stores = seen.get(what) ?? new Set()
        seen.set(what, stores.add(storage.getStore()))
      }
      let closed = 0
      const programs: Readonly<Record<string, (res: http.ServerResponse) => void>> = {
        '/drain': (res) => {
          res.write(PIECES)
          res.once('drain', () => {
            look('drain')
            res.end()
          })
        },
        '/callback': (res) => {
          res.write(PIECES, () => {
            look('write')
            res.end(PIECES, () => look('end'))
          })
        },
        '/pipe': (res) => {
          let left = 80
          const source = new Readable({
            read() {
              look('read')
              this.push(left-- > 0 ? Buffer.alloc(60_000) : null)
            },
          })
          source.pipe(res)
        },
      }
      const server = http.createServer((req, res) => {
        storage.run('request', () => {
          res.on('finish', () => look('finish'))
          res.on('close', () => {
            look('close')
            closed++
          })
          programs[req.url ?? '']?.(res)
        })
      })
      const { port, close } = await start(server)
      for (const path of Object.keys(programs)) {
        const socket = net.connect(port, '127.0.0.1').pause()
        socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
        // The answer is longer than the kernel's buffers, so that it has to wait.
        setTimeout(() => socket.resume(), 50)
        await once(socket, 'close')
      }
      await until(() => closed === 3)
      close()
      const expected = ['drain', 'finish', 'close', 'write', 'end', 'read']
      t.deepEqual([...seen.keys()].sort(), expected.sort())
      for (const [what, stores] of seen) t.deepEqual([...stores], ['request'], what)
    },
  )
}

const PIECES = Buffer.alloc(12_000_000)

/** Asks so often on one connection, four requests at a time. */
async function ask(port: number, count: number): Promise<void> {
  const socket = net.connect(port, '127.0.0.1').setEncoding('latin1')
  let answers = 0
  socket.on('data', (text: string) => {
    answers += text.split('HTTP/1.1 200').length - 1
  })
  for (let asked = 4; asked <= count; asked += 4) {
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(4))
    await until(() => answers >= asked)
  }
  socket.destroy()
}
