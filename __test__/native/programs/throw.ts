// Five requests: of one batch with the argument `busy`, one at a time with `calm`. The first throws
// in the way that the first argument names. Prints what came of it.
import { Worker } from 'node:worker_threads'
import type { Exchange } from '../../../ts/engine/exchange.ts'
import { currentExchange } from '../../../ts/engine/native/dispatcher.ts'
import { serve } from './engine.ts'

const way = process.argv[2]
const errors: string[] = []
const culprits: (string | undefined)[] = []
process.on('uncaughtException', (error) => {
  errors.push(error.message)
  culprits.push((currentExchange() as Exchange | undefined)?.url)
})

const throws: Record<string, () => void> = {
  handler: () => {
    throw new Error('handler')
  },
  tick: () => {
    process.nextTick(() => {
      throw new Error('tick')
    })
  },
  promise: () => {
    Promise.resolve().then(() => {
      throw new Error('promise')
    })
  },
}

const { engine, port } = await serve({
  onExchange(exchange: Exchange) {
    if (exchange.url === '/block') {
      client.postMessage('blocked')
      // Meanwhile the five arrive.
      const end = Date.now() + (process.argv[3] === 'busy' ? 300 : 0)
      while (Date.now() < end);
    }
    if (exchange.url === '/0') throws[way ?? '']?.()
    else exchange.respond(200, 'OK', '', 7, exchange.url, 'utf8')
  },
})

const client = new Worker(new URL('./throw-client.mjs', import.meta.url), { workerData: { port } })
client.on('message', (answers) => {
  console.log(JSON.stringify({ answers, errors, culprits }))
  engine.close()
})
