// Starts and closes a server many times in one process; prints threads and descriptors before and
// after.
import { readdirSync } from 'node:fs'
import http from 'node:http'
import { serve } from './engine.ts'

const times = Number(process.argv[2])
const counts: { threads: number; descriptors: number }[] = []
for (let time = 0; time < times; time++) {
  const { engine, port } = await serve({
    onExchange: (exchange) => exchange.respond(200, 'OK', '', 7, 'hello', 'utf8'),
  })
  if (time % 100 === 0) await ask(port)
  engine.close()
  if (time === 4 || time === times - 1) {
    counts.push({
      threads: readdirSync('/proc/self/task').length,
      descriptors: readdirSync('/proc/self/fd').length,
    })
  }
}
console.log(JSON.stringify(counts))

function ask(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http
      .get({ port, agent: false }, (response) => response.resume().on('end', resolve))
      .on('error', reject)
  })
}
