// Serves in a worker thread under load and terminates it, many times over; prints threads and
// descriptors.

import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { Worker } from 'node:worker_threads'

await main()

async function main(): Promise<void> {
  const times = Number(process.argv[2])
  const counts: { threads: number; descriptors: number }[] = []
  for (let time = 0; time < times; time++) {
    const worker = new Worker(new URL('./terminate-worker.mjs', import.meta.url), { execArgv: [] })
    const [port] = (await once(worker, 'message')) as [number]
    const sockets = Array.from({ length: 8 }, () => load(port))
    await Promise.race(sockets.map((socket) => once(socket, 'data')))
    await worker.terminate()
    for (const socket of sockets) socket.destroy()
    if (time === 4 || time === times - 1) counts.push(count())
  }
  console.log(JSON.stringify(counts))
}

/** Asks again as soon as it is answered. */
function load(port: number): net.Socket {
  const socket = net.connect(port, '127.0.0.1')
  const ask = () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(4))
  socket.on('connect', ask)
  socket.on('data', ask)
  // The server closes while requests are in flight.
  socket.on('error', () => {})
  return socket
}

function count() {
  return {
    threads: readdirSync('/proc/self/task').length,
    descriptors: readdirSync('/proc/self/fd').length,
  }
}
