// Blocks the server with one request, then sends five at once on connections of their own.
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'

const connect = () =>
  new Promise((resolve) => {
    const socket = net.connect(workerData.port, '127.0.0.1', () => resolve(socket))
  })
const [blocker, ...sockets] = await Promise.all(Array.from({ length: 6 }, connect))
const answers = []
for (const socket of sockets) {
  socket.on('data', (data) => answers.push(String(data).split('\r\n\r\n')[1]))
}
const isBlocked = once(parentPort, 'message')
blocker.write('GET /block HTTP/1.1\r\nHost: x\r\n\r\n')
await isBlocked
for (const [index, socket] of sockets.entries()) {
  socket.write(`GET /${index} HTTP/1.1\r\nHost: x\r\n\r\n`)
  // The engine receives them in this order.
  await setTimeout(10)
}
for (let waits = 0; answers.length < 4 && waits < 50; waits++) await setTimeout(100)
parentPort.postMessage(answers.sort())
for (const socket of [blocker, ...sockets]) socket.destroy()
