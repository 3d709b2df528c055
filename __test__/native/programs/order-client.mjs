// Blocks the server, queues seven cheap requests and then a slow one; times from the first cheap
// answer on.
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'

const connect = async () => {
  const socket = net.connect(workerData.port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}
const [blocker, slow, ...cheap] = await Promise.all(Array.from({ length: 9 }, connect))
const request = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const unblocked = once(blocker, 'data').then(() => performance.now())
const arrivals = [...cheap, slow].map((socket) =>
  once(socket, 'data').then(() => performance.now()),
)
const isBlocked = once(parentPort, 'message')
blocker.write(request('/block'))
await isBlocked
for (const socket of cheap) {
  socket.write(request('/cheap'))
  // The engine receives them in this order.
  await setTimeout(5)
}
slow.write(request('/slow'))
const times = await Promise.all(arrivals)
// The batch begins when the blocking handler is done.
const start = await unblocked
const after = times.map((time) => Math.round(time - start))
parentPort.postMessage({ cheapMs: after.slice(0, 7), slowMs: after[7] })
for (const socket of [blocker, slow, ...cheap]) socket.destroy()
