// How much of a response the engine buffers for a client before write() returns false.
import http from 'node:http'
import test, { type ExecutionContext } from 'ava'

import { createNativeEngine } from '../../../ts/engine/native/engine.ts'
import { native, nativeFailure } from '../../../ts/native/index.ts'
import { bindNatively, config, log } from '../../http/engines.ts'
import { get } from '../../process/program.ts'
import { uses } from '../../uses.ts'

const KIB = 1_024
/** Multiple of the setting that the engine buffers while few clients are slow. */
const MAX_FACTOR = 4
/** What the engine counts for the chunked coding of a short chunk. */
const FRAMING = 6

for (const size of [16 * KIB, 64 * KIB, 1_024 * KIB]) {
  const title = `write() returns false at response_buffer_size: ${size / KIB} KiB`
  if (native === null) test.skip(`${title}: ${nativeFailure}`, () => {})
  else {
    test.serial(title, async (t) => {
      const sent = await writeUntilFull(t, size, KIB)
      t.true(sent >= size && sent <= MAX_FACTOR * size + KIB + FRAMING, `${sent}`)
    })
  }
}

if (native !== null) {
  test.serial('the framing of short chunks counts towards response_buffer_size', async (t) => {
    const sent = await writeUntilFull(t, 64 * KIB, 1)
    t.true(sent <= MAX_FACTOR * 64 * KIB + 1 + FRAMING, `${sent}`)
  })
}

/** Writes chunks of `length` bytes until write() returns false; returns what is sent for them. */
async function writeUntilFull(t: ExecutionContext, size: number, length: number): Promise<number> {
  let written = 0
  const server = http.createServer((_req, res) => {
    // Nothing is sent in this turn, so the client reads nothing meanwhile.
    do written += length
    while (res.write(Buffer.alloc(length, 'x')) && written < 100 * size)
    res.end()
  })
  const settings = uses(t, { response_buffer_size: size })
  const engine = createNativeEngine({ config: { ...config, ...settings }, log })
  t.teardown(() => engine.close())
  const { fd, port } = bindNatively()
  await engine.serve({ style: 'node', server }, [
    { fd, address: `http://127.0.0.1:${port}`, isSecure: false },
  ])
  t.is((await get({ port })).body.length, written)
  return (written / length) * (length + FRAMING)
}
