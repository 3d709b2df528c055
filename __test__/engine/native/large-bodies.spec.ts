import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { native, nativeFailure } from '../../../ts/native/index.ts'
import { startNative, stopNative } from '../../http/engines.ts'
import { until } from '../../process/program.ts'

const MEBIBYTE = 1 << 20

if (native === null) test.skip(`native engine: ${nativeFailure}`, () => {})
else {
  test.after.always(stopNative)

  test.serial('pieces of an upload stay what they are, however long they are kept', async (t) => {
    const kept: Buffer[] = []
    const server = http.createServer((req, res) => {
      req.on('data', (piece: Buffer) => kept.push(piece))
      req.on('end', () => res.end(sum(Buffer.concat(kept.splice(0)))))
    })
    const { port } = await startNative(server)
    const bodies = [randomBytes(24 * MEBIBYTE), randomBytes(3 * MEBIBYTE + 1)]
    for (const body of bodies) {
      t.is((await ask(port, { method: 'POST', body })).toString(), sum(body))
      t.is((await ask(port, { method: 'POST', body, chunked: true })).toString(), sum(body))
    }
  })

  test.serial('a piece of an upload is the application’s own to write into', async (t) => {
    const server = http.createServer((req, res) => {
      req.on('data', (piece: Buffer) => {
        const before = Buffer.from(piece)
        piece.fill(1)
        setImmediate(() => {
          if (piece.some((byte) => byte !== 1) || before.some((byte) => byte !== 7)) {
            res.destroy(new Error('changed by another'))
          }
        })
      })
      req.on('end', () => setImmediate(() => res.end('as it was')))
    })
    const { port } = await startNative(server)
    const body = Buffer.alloc(8 * MEBIBYTE, 7)
    t.is((await ask(port, { method: 'POST', body })).toString(), 'as it was')
  })

  // From Node 26 on, here as there, what is written in one turn is held until its end, and so must
  // not change before.
  const untilTheTurn = Number(process.versions.node.split('.')[0]) >= 26
  const testOfReuse = untilTheTurn ? test.serial.skip : test.serial
  testOfReuse('while write reports room, a buffer may be reused', async (t) => {
    let written = 0
    const server = http.createServer((_req, res) => {
      const piece = Buffer.alloc(100_000)
      written = 0
      while (res.write(piece.fill(written + 1))) written++
      res.end()
    })
    const { port } = await startNative(server)
    const body = await ask(port, {})
    t.true(written > 0)
    for (let number = 0; number < written; number++) {
      const piece = body.subarray(number * 100_000, (number + 1) * 100_000)
      t.true(piece.equals(Buffer.alloc(100_000, number + 1)), `piece ${number} of ${written}`)
    }
  })

  test.serial('a long end follows what was written, and is released', async (t) => {
    const collect = exposeCollector()
    let alive = 0
    const registry = new FinalizationRegistry(() => alive--)
    const server = http.createServer((_req, res) => {
      const last = Buffer.allocUnsafeSlow(4 * MEBIBYTE).fill('z')
      alive++
      registry.register(last, undefined)
      res.write('a'.repeat(300_000))
      res.write(Buffer.alloc(300_000, 'b'))
      res.end(last)
    })
    const { port } = await startNative(server)
    for (let round = 0; round < 10; round++) {
      const body = await ask(port, {})
      const expected = ['a'.repeat(300_000), 'b'.repeat(300_000), 'z'.repeat(4 * MEBIBYTE)]
      t.true(body.toString('latin1') === expected.join(''))
    }
    await until(() => {
      collect()
      return alive === 0
    }, 'the buffers that were sent to be collected')
    t.is(alive, 0)
  })

  test.serial('memory that others share is sent as it was', async (t) => {
    const shared = new Uint8Array(new SharedArrayBuffer(MEBIBYTE)).fill(5)
    const server = http.createServer((_req, res) => res.end(shared))
    const { port } = await startNative(server)
    t.true((await ask(port, {})).equals(Buffer.alloc(MEBIBYTE, 5)))
  })
}

function sum(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

interface Asked {
  readonly method?: string
  readonly body?: Buffer
  readonly chunked?: boolean
}

async function ask(port: number, { method = 'GET', body, chunked }: Asked): Promise<Buffer> {
  const headers =
    body === undefined || chunked === true ? {} : { 'content-length': `${body.length}` }
  const request = http.request({ port, method, headers, agent: false })
  const response = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject)
  })
  request.end(body)
  const pieces: Buffer[] = []
  for await (const piece of await response) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

function exposeCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
