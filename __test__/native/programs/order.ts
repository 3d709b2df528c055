// Seven cheap requests queued before one whose handler blocks for 1.5 s. Prints when each answer
// came, in ms.
import { Worker } from 'node:worker_threads'
import type { Exchange } from '../../../ts/engine/exchange.ts'
import { serve } from './engine.ts'

const { engine, port } = await serve({
  onExchange(exchange: Exchange) {
    if (exchange.url === '/block') {
      client.postMessage('blocked')
      spin(300)
    }
    if (exchange.url === '/slow') spin(1_500)
    exchange.respond(200, 'OK', '', 7, exchange.url, 'utf8')
  },
})

const client = new Worker(new URL('./order-client.mjs', import.meta.url), { workerData: { port } })
client.on('message', (times) => {
  console.log(JSON.stringify(times))
  engine.close()
})

function spin(ms: number): void {
  const end = Date.now() + ms
  while (Date.now() < end);
}
