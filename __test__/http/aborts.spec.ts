import http from 'node:http'
import net from 'node:net'
import test from 'ava'
import { createNativeEngine } from '../../ts/engine/native/engine.ts'
import { createNodeEngine } from '../../ts/engine/node/engine.ts'
import { native } from '../../ts/native/index.ts'
import { abortedProgram, abortedUpgrade, abortMany, type Seen } from './aborting.ts'
import { exchange, get, until } from './client.ts'
import { bind, bindNatively, config, log } from './engines.ts'

const COUNT = 1_500

/**
 * node:http stops reading at a body that is not read, so it does not see its client disconnect.
 */
const MOST_BODY: Readonly<Record<string, number>> = { native: 40_000, node: 5_000 }

/**
 * Before Node 24, node:http emits nothing on a pipelined response that waits for its turn when the
 * client disconnects.
 */
const NOTIFIES_QUEUED = Number(process.versions.node.split('.')[0]) >= 24

const engines = {
  node: createNodeEngine,
  ...(native === null ? {} : { native: createNativeEngine }),
}

for (const [name, create] of Object.entries(engines)) {
  test.serial(
    `${name}: clients that close at any point cause no leak of connections or requests`,
    async (t) => {
      const seen: Seen = { requests: 0, closed: 0, errors: [] }
      const server = http.createServer(abortedProgram(seen)).on('upgrade', abortedUpgrade(seen))
      const { fd, port } = name === 'native' ? bindNatively() : bind()
      const engine = create({ config, log })
      t.teardown(() => engine.close())
      const address = `http://127.0.0.1:${port}`
      await engine.serve({ style: 'node', server }, [{ fd, address, isSecure: false }])
      const clients = { count: COUNT, atOnce: 50, seed: 7, upgrades: 0.2 }
      await abortMany(port, { ...clients, mostBody: MOST_BODY[name] ?? 0 })

      await until(() => engine.counters().connections === 0)
      if (name === 'native' || NOTIFIES_QUEUED) await until(() => seen.closed === seen.requests)
      t.is(engine.counters().inFlight, 0)
      t.true(seen.requests > COUNT / 4, `${seen.requests} requests`)
      t.deepEqual(seen.errors, [])
      // JavaScript is notified of the last ones a turn after the counters.
      let open = Number.NaN
      await until(() => {
        server.getConnections((_error, count) => {
          open = count
        })
        return open === 0
      })
      t.regex(await exchange(port, get('/now')), /now$/)
    },
  )
}

for (const [name, create] of Object.entries(engines)) {
  test(`${name}: the connection of a refused upgrade is closed`, async (t) => {
    const server = http.createServer((_req, res) => void res.end('ok'))
    const gone = new Promise((resolve) => {
      server.on('upgrade', (_req, socket) => {
        socket.on('error', () => {}).on('close', resolve)
        socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
      })
    })
    const { fd, port } = name === 'native' ? bindNatively() : bind()
    const engine = create({ config, log })
    t.teardown(() => engine.close())
    await engine.serve({ style: 'node', server }, [
      { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
    ])
    const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    t.teardown(() => client.destroy())
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    client.resume()
    await gone
    await until(() => engine.counters().inFlight === 0)
    t.pass()
  })
}

if (native !== null) {
  test.serial('native: no memory of a refused upgrade is retained', async (t) => {
    const server = http.createServer((_req, res) => void res.end('ok'))
    // It reads nothing of what has arrived, so it never receives the end.
    server.on('upgrade', (_req, socket) => socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n'))
    const { fd, port } = bindNatively()
    const engine = createNativeEngine({ config, log })
    t.teardown(() => engine.close())
    await engine.serve({ style: 'node', server }, [
      { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
    ])
    const client = net.connect(port, '127.0.0.1')
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    client.once('data', () => client.end('and more'))
    await new Promise((resolve) => client.on('close', resolve))
    await until(() => engine.counters().connections === 0)
    let open = Number.NaN
    await until(() => {
      server.getConnections((_error, count) => {
        open = count
      })
      return open === 0
    })
    t.is(engine.counters().inFlight, 0)
  })
}
