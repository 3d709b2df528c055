// Pipelined requests on one connection, and bodies that are not read: each response is sent as soon
// as it is complete and its turn has come, and a client that is still sending can read it.

import test, { type ExecutionContext } from 'ava'
import { ENGINES, serveArgs, startProgram } from '../process/program.ts'
import { Connection } from './connection.ts'

const APP = `module.exports = (req, res) => {
  const [, name] = req.url.split('/')
  if (name === 'never') return
  if (name === 'late') return void setTimeout(() => res.end('late'), 100)
  if (name === 'read') return void req.on('data', () => {}).on('end', () => res.end('read'))
  res.end(name)
}`
const MB = 1_000_000
const BODY = Buffer.alloc(10 * MB, 'x')
/** The same in chunks. */
const CHUNKS = Buffer.concat(
  [...Array(10)]
    .flatMap((_, at) => [
      Buffer.from(`${MB.toString(16)}\r\n`),
      BODY.subarray(at * MB, (at + 1) * MB),
      Buffer.from('\r\n'),
    ])
    .concat(Buffer.from('0\r\n\r\n')),
)

function get(path: string): string {
  return `GET /${path} HTTP/1.1\r\nHost: x\r\n\r\n`
}

function post(path: string, framing: string): string {
  return `POST /${path} HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`
}

async function start(t: ExecutionContext, engine: string): Promise<number> {
  const program = startProgram(t, { files: { 'app.cjs': APP }, args: serveArgs(engine) })
  return (await program.ready(1)).port
}

for (const engine of ENGINES) {
  test.serial(
    `${engine}: a response is sent in its turn, whatever follows its request`,
    async (t) => {
      const port = await start(t, engine)
      const following: Record<string, string> = {
        'one that is never answered, and a fast one': get('never') + get('third'),
        'half a head': 'GET /half HTT',
        'half a body': `${post('read', 'Content-Length: 10')}half`,
        'half a chunk': `${post('read', 'Transfer-Encoding: chunked')}a\r\nhalf`,
        'one that is refused': engine === 'native' ? 'BAD\r\n\r\n' : '',
      }
      for (const [what, bytes] of Object.entries(following)) {
        const connection = new Connection(port).send(get('first') + bytes)
        t.is((await connection.answer()).body, 'first', what)
        connection.destroy()
      }
      const whole = new Connection(port).send(`${get('first')}GET /second HT`)
      t.is((await whole.answer()).body, 'first')
      t.is((await whole.send(`TP/1.1\r\nHost: x\r\n\r\n${get('third')}`).answer()).body, 'second')
      t.is((await whole.answer()).body, 'third')
      whole.destroy()
    },
  )

  test.serial(`${engine}: responses are sent in the order of their requests`, async (t) => {
    const port = await start(t, engine)
    const names = [
      'late',
      'a',
      'read',
      'late',
      'b',
      ...Array.from({ length: 95 }, (_, at) => `${at}`),
    ]
    const requests = names.map((name) =>
      name === 'read' ? `${post('read', 'Content-Length: 4')}body` : get(name),
    )
    const connection = new Connection(port).send(requests.join(''))
    for (const name of names) t.is((await connection.answer()).body, name)
    // None after a request that is never answered.
    connection.send(get('x') + get('never') + get('y') + get('late'))
    t.is((await connection.answer()).body, 'x')
    const other = new Connection(port).send(get('late'))
    t.is((await other.answer()).body, 'late')
    t.is(connection.unread, '')
    connection.destroy()
    other.destroy()
  })

  for (const [kind, framing, body] of [
    ['Content-Length', `Content-Length: ${BODY.length}`, BODY],
    ['chunked', 'Transfer-Encoding: chunked', CHUNKS],
  ] as const) {
    test.serial(
      `${engine}: an early response is received after 10 MB that are not read, ${kind}`,
      async (t) => {
        const port = await start(t, engine)
        for (const path of ['early', 'late']) {
          // One client reads nothing before all is sent, the other waits for its answer before it
          // sends the rest.
          const deaf = new Connection(port)
          deaf.socket.pause()
          deaf.send(post(path, framing))
          await new Promise((done) => deaf.socket.write(body, done))
          deaf.socket.resume()
          const waiting = new Connection(port).send(post(path, framing))
          if (path === 'late') waiting.send(body.subarray(0, MB))
          const first = await waiting.answer()
          t.deepEqual([first.status, first.body], [200, path])
          waiting.send(path === 'late' ? body.subarray(MB) : body)
          const second = await deaf.answer()
          t.deepEqual([second.status, second.body], [200, path])
          for (const [connection, answer] of [
            [deaf, second],
            [waiting, first],
          ] as const) {
            // Either it closes, as announced, or the next request is served.
            if (answer.fields.connection === 'close') t.is(await connection.end(), '')
            else t.is((await connection.send(get('next')).answer()).body, 'next')
            connection.destroy()
          }
        }
      },
    )
  }
}
