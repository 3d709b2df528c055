// `npm run bench -- --rivals`: other servers and this one with the same response, and a page of
// their processor time, latency, memory, start, reloads and slow clients. `--help` has the options.

import { parseArgs } from 'node:util'
import { build } from '../../scripts/build.ts'
import { compileAll } from '../compiled.ts'
import { chooseGenerator } from '../load.ts'
import { findNode } from '../nodes.ts'
import { parsePlan } from '../options.ts'
import { machineObstacle } from '../processors.ts'
import { printPage } from '../report.ts'
import { installRivals } from './install.ts'
import { type Behavior, measureBehavior, measureCosts } from './measure.ts'
import { pageOf } from './page.ts'
import { RIVALS } from './table.ts'

export async function compareRivals(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rivals: { type: 'boolean' },
      only: { type: 'string', default: RIVALS.map(({ name }) => name).join() },
      node: { type: 'string', default: '24' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      connections: { type: 'string', default: '1,8,64,512' },
      out: { type: 'string' },
      'no-build': { type: 'boolean', default: false },
    },
  })
  const chosen = values.only.split(',')
  const unknown = chosen.find((name) => !RIVALS.some((rival) => rival.name === name))
  if (unknown !== undefined) {
    throw new Error(`--only takes ${RIVALS.map(({ name }) => name).join()}, got "${unknown}"`)
  }
  const plan = parsePlan(values)
  if (typeof plan === 'string') throw new Error(plan)
  const obstacle = machineObstacle()
  if (obstacle !== undefined) throw new Error(obstacle)
  if ((await chooseGenerator(undefined)) !== 'wrk') {
    throw new Error('this comparison needs wrk (Debian: apt-get install wrk)')
  }
  if (!values['no-build'] && !(await build('release'))) throw new Error('the build failed')
  await compileAll()
  const node = await findNode(values.node)
  const where = await installRivals(node.path)
  const rivals = RIVALS.filter(
    ({ name, needsPython }) =>
      chosen.includes(name) && !(needsPython === true && where.python === undefined),
  )
  const costs = await measureCosts(rivals, where, plan)
  const behaviors: Behavior[] = []
  for (const rival of rivals) {
    console.log(`start, memory, slow clients, reloads: ${rival.name}`)
    behaviors.push(await measureBehavior(rival, where))
  }
  const { connections } = plan
  const page = pageOf({ rivals, costs, behaviors, connections, version: node.version })
  printPage(page, { out: values.out, isWhole: chosen.length === RIVALS.length }, 'rivals')
}
