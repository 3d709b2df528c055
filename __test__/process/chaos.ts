// Random signals to an arbiter and its workers, from a seed; and what must be true afterwards.

import { readdirSync, readFileSync } from 'node:fs'

import { childrenOf, isAlive, type Program, until } from './program.ts'

// TERM, INT and QUIT to the arbiter end it: they come last.
const TO_ARBITER = ['HUP', 'TTIN', 'TTOU', 'USR1', 'WINCH', 'CHLD', 'USR2'] as const
const TO_WORKER = [
  'TERM',
  'QUIT',
  'INT',
  'HUP',
  'USR1',
  'USR2',
  'WINCH',
  'TTIN',
  'TTOU',
  'CHLD',
  'ABRT',
  'KILL',
] as const
/** To an arbiter that another one has started, too. */
const TO_SUCCESSOR = [...TO_ARBITER, 'TERM', 'QUIT', 'INT', 'KILL'] as const

export interface ChaosOptions {
  readonly seed: number
  readonly signals: number
  readonly pauseMs: number
  /** In the titles of all processes of the program, and of no other. */
  readonly name: string
}

/** Sends the signals; the result is what was sent, for a failure's message. */
export async function sendChaos(program: Program, options: ChaosOptions): Promise<string[]> {
  const random = generator(options.seed)
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]
  const sent: string[] = []
  for (let count = 0; count < options.signals; count += 1) {
    const { successors, workers } = family(program, options.name)
    const [kind, target, signal] =
      successors.length > 0 && random() < 0.15
        ? ['successor', pick(successors), pick(TO_SUCCESSOR)]
        : random() < 0.5
          ? ['arbiter', program.pid, pick(TO_ARBITER)]
          : ['worker', pick(workers), pick(TO_WORKER)]
    if (target !== undefined && signal !== undefined) {
      sent.push(`${signal} to ${kind} ${target}`)
      kill(target, `SIG${signal}`)
    }
    await new Promise((done) => setTimeout(done, random() * 2 * options.pauseMs))
  }
  return sent
}

/** Waits until the program is calm: one arbiter and the configured number of workers. */
export async function settleAfterChaos(
  program: Program,
  { name, workers }: { name: string; workers: number },
): Promise<void> {
  const isAtRest = () => {
    const { successors, strangers } = family(program, name)
    return successors.length + strangers.length === 0 && program.workers().length === workers
  }
  // A USR2 during a reload starts another arbiter after it, so one round may not be enough.
  const calm = async () => {
    const { successors, strangers } = family(program, name)
    for (const pid of successors) kill(pid, 'SIGTERM')
    if (successors.length + strangers.length > 0) return false
    // A reload makes the number of workers that of the settings.
    const before = program.log.length
    kill(program.pid, 'SIGHUP')
    const answer = await until(
      () =>
        /Reload complete|is refused|Starting all workers again/.exec(
          program.log.slice(before),
        )?.[0],
      'the reload',
      90_000,
    )
    if (answer !== 'Reload complete') return false
    // Old workers may still be answering.
    return until(isAtRest, 'the old workers to leave', 30_000).catch(() => false)
  }
  await until(calm, `${workers} workers and no other process`, 180_000)
}

/** All processes of the program by their titles. */
export function family(program: Program, name: string) {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
  const named = all.filter((pid) => titleOf(pid).includes(`[${name}`) && isAlive(pid))
  const arbiters = named.filter((pid) => titleOf(pid).startsWith('monoceros: arbiter'))
  const successors = arbiters.filter((pid) => pid !== program.pid)
  const workers = arbiters
    .flatMap((pid) => childrenOf(pid))
    .filter((pid) => !arbiters.includes(pid) && titleOf(pid).startsWith('monoceros: worker'))
  const strangers = named.filter((pid) => !arbiters.includes(pid) && !workers.includes(pid))
  return { successors, workers, strangers }
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    // It has ended while we looked.
    return ''
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended already.
  }
}

// mulberry32: a few lines, and the same numbers on every machine.
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
