// What runs in the worker thread: a server, and its port for the main thread.
import { parentPort } from 'node:worker_threads'
import { serve } from './engine.ts'

const { port } = await serve({
  onExchange: (exchange) => exchange.respond(200, 'OK', '', 7, 'hello', 'utf8'),
})
parentPort?.postMessage(port)
