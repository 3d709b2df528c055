// `npx tsx bench/shared.ts [--node VERSION|PATH] [--workers N] [--connections LIST] [--rounds N]
// [--seconds N]`: workers and load share the processors, without pinning, as with a proxy on the
// same machine. It prints requests per second against node:cluster with the same number of workers:
// the cost of thread switches when there are more threads than processors.

import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from '../scripts/command.ts'
import { compileAll } from './compiled.ts'
import { spread } from './figures.ts'
import { chooseGenerator, drive, type Seen } from './load.ts'
import { findNode } from './nodes.ts'
import { type Server, startProcess } from './server.ts'

const PORT = 19_480
const APPS = join(ROOT, 'bench/apps')

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    workers: { type: 'string', default: String(availableParallelism()) },
    connections: { type: 'string', default: '1,16,64,256' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
  },
})

await compileAll()
const { path, version } = await findNode(values.node)
const { workers } = values
const generator = await chooseGenerator(undefined)
const served = [
  join(ROOT, 'dist/cli/main.js'),
  join(APPS, 'idle.js'),
  '-b',
  `127.0.0.1:${PORT + 1}`,
]
const commands = [
  { engine: 'plain', command: [path, join(APPS, 'cluster.js'), workers] },
  { engine: 'native', command: [path, ...served, '-w', workers] },
] as const
const servers: Server[] = []

console.log(`Node ${version}, ${workers} workers on ${availableParallelism()} processors\n`)
console.log(
  '| connections | node:cluster req/s | ours | ratio | median, us | ours | 99 %, us | ours |',
)
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |')
try {
  for (const [index, { engine, command }] of commands.entries()) {
    const subject = { name: 'req-res', engine } as const
    servers.push(await startProcess(command, PORT + index, subject, { cpu: null }))
  }
  for (const connections of values.connections.split(',').map(Number)) await measure(connections)
} finally {
  for (const server of servers) await server.stop()
}

async function measure(connections: number): Promise<void> {
  const seen: Seen[][] = servers.map(() => [])
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [index, { port }] of servers.entries()) {
      const seconds = Number(values.seconds)
      const load = { port, connections, seconds, close: false, path: '/' }
      seen[index]?.push(await drive(generator, load, { cpu: null }))
    }
  }
  const [theirs = [], ours = []] = seen
  const ratio = spread(ours.map((one, at) => one.perSecond / (theirs[at]?.perSecond ?? Number.NaN)))
  const [rates, halves, tails] = (['perSecond', 'p50us', 'p99us'] as const).map((figure) =>
    seen.map((samples) => spread(samples.map((one) => one[figure])).median.toFixed(0)),
  )
  const { median, least, most } = ratio
  const spreadText = `**${median.toFixed(2)}** (${least.toFixed(2)} to ${most.toFixed(2)})`
  const [rate, half, tail] = [rates, halves, tails].map((pair) => pair?.join(' | '))
  console.log(`| ${connections} | ${rate} | ${spreadText} | ${half} | ${tail} |`)
}
