// The command line of the bench.

import { parseArgs } from 'node:util'
import { CASES, type CaseName, type EngineName } from './cases.ts'

export const HELP = `npm run bench -- [options]

Measures processor time per request, as a ratio to node:http in the same run.

  --only NAMES          cases, by commas: ${Object.keys(CASES).join(', ')}
  --engine NAMES        native, node, bun (the same program on Bun), or plain for the baseline
                        (default: native,node)
  --connections LIST    default 1,64,512
  --rounds N            default 5
  --seconds N           of load for each figure, default 3
  --close               a new connection for each request
  --node VERSION|PATH   another Node: 22, 24, 26 are installed into bench/.nodes on demand;
                        several separated by commas
  --load wrk|own        default wrk where it is installed, else bench/native/load.c
  --no-memory           leave out the memory of an idle worker
  --no-build            measure dist/ as it is (default: a release build first)
  --out FILE            path of the page (default: in bench/results/, none for a partial run)
  --rivals              compare other servers instead: pm2, node:cluster, Watt, Bun, Deno, Gunicorn
                        and Granian; with --only, --node, --rounds, --seconds, --connections,
                        --no-build and --out
`

/** How often, how long and with how many connections each server is loaded. */
export interface Plan {
  readonly connections: readonly number[]
  readonly rounds: number
  readonly seconds: number
}

export interface BenchOptions extends Plan {
  readonly cases: readonly CaseName[]
  readonly engines: readonly EngineName[]
  readonly close: boolean
  readonly nodes: readonly string[]
  readonly load: 'wrk' | 'own' | undefined
  readonly memory: boolean
  readonly build: boolean
  readonly out: string | undefined
  /** A run of everything; only such a run writes a page by itself. */
  readonly isWhole: boolean
}

/** Parses the command line; returns a sentence if it is invalid. */
export function parseOptions(argv: readonly string[]): BenchOptions | string {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      engine: { type: 'string', default: 'native,node' },
      connections: { type: 'string', default: '1,64,512' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      close: { type: 'boolean', default: false },
      node: { type: 'string', default: process.execPath },
      load: { type: 'string' },
      'no-memory': { type: 'boolean', default: false },
      'no-build': { type: 'boolean', default: false },
      out: { type: 'string' },
      rivals: { type: 'boolean' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return HELP
  const cases = (values.only ?? Object.keys(CASES).join()).split(',')
  const engines = values.engine.split(',')
  const plan = parsePlan(values)
  if (!cases.every(isCase)) return `--only takes ${Object.keys(CASES).join(', ')}, got "${cases}"`
  if (!engines.every(isEngine))
    return `--engine takes native, node, bun and plain (the measure alone), got "${engines}"`
  if (typeof plan === 'string') return plan
  if (values.load !== undefined && values.load !== 'wrk' && values.load !== 'own') {
    return `--load takes wrk or own, got "${values.load}"`
  }
  return {
    cases,
    engines,
    ...plan,
    close: values.close,
    nodes: values.node.split(','),
    load: values.load,
    memory: !values['no-memory'],
    build: !values['no-build'],
    out: values.out,
    isWhole: values.only === undefined && engines.length === 2 && plan.connections.length === 3,
  }
}

/** Parses the options of a plan; returns a sentence if one is invalid. */
export function parsePlan(values: Readonly<Record<keyof Plan, string>>): Plan | string {
  const connections = values.connections.split(',').map(Number)
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]
  if (![...connections, rounds, seconds].every((number) => number > 0)) {
    return '--connections, --rounds and --seconds take numbers above 0'
  }
  return { connections, rounds, seconds }
}

function isCase(name: string): name is CaseName {
  return Object.hasOwn(CASES, name)
}

function isEngine(name: string): name is EngineName {
  return name === 'native' || name === 'node' || name === 'bun' || name === 'plain'
}
