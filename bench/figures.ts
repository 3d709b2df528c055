// Computes figures from samples: the median of each server over the rounds, and its ratio to the
// baseline in the same round, because a shared machine is faster in one minute than in the next.

import { type CaseName, type Subject, subjectKey } from './cases.ts'
import type { Seen } from './load.ts'

export interface Sample {
  readonly subject: Subject
  readonly connections: number
  readonly round: number
  /** Processor time of the server a request, in microseconds. */
  readonly us: number
  readonly seen: Seen
}

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export interface Figures {
  readonly subject: Subject
  readonly connections: number
  readonly us: Spread
  /** `us` against the measure. */
  readonly ratio: Spread
  /** `us` against the C program that only receives and sends, where it was in the run. */
  readonly floorRatio: Spread | undefined
  readonly p50us: Spread
  /** `p50us` against the measure. */
  readonly latencyRatio: Spread
  readonly perSecond: Spread
  readonly errors: number
}

/**
 * Gathers the samples of each server and number of connections, in the order in which they were
 * taken.
 */
export function summarize(
  samples: readonly Sample[],
  baselineOf: (name: CaseName) => Subject,
): Figures[] {
  const find = (subject: Subject, like: Sample) =>
    samples.find(
      (sample) =>
        sample.round === like.round &&
        sample.connections === like.connections &&
        subjectKey(sample.subject) === subjectKey(subject),
    )
  return groups(samples).map((group) => {
    const first = group[0]
    const pairs = group.flatMap((sample) => {
      const base = find(baselineOf(sample.subject.name), sample)
      return base === undefined ? [] : [{ sample, base }]
    })
    const floors = group.flatMap((sample) => {
      const floor = find({ name: 'floor', engine: 'floor' }, sample)
      return floor === undefined ? [] : [sample.us / floor.us]
    })
    return {
      subject: first.subject,
      connections: first.connections,
      us: spread(group.map(({ us }) => us)),
      ratio: spread(pairs.map(({ sample, base }) => sample.us / base.us)),
      floorRatio: floors.length > 0 ? spread(floors) : undefined,
      p50us: spread(group.map(({ seen }) => seen.p50us)),
      latencyRatio: spread(pairs.map(({ sample, base }) => sample.seen.p50us / base.seen.p50us)),
      perSecond: spread(group.map(({ seen }) => seen.perSecond)),
      errors: group.reduce((sum, { seen }) => sum + seen.errors, 0),
    }
  })
}

/** The median and the extremes of some numbers. */
export function spread(numbers: readonly number[]): Spread {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
  return { median, least: at(0), most: at(sorted.length - 1) }
}

type Group = [Sample, ...Sample[]]

function groups(samples: readonly Sample[]): Group[] {
  const found = new Map<string, Group>()
  for (const sample of samples) {
    const key = `${sample.connections} ${subjectKey(sample.subject)}`
    const group = found.get(key)
    if (group === undefined) found.set(key, [sample])
    else group.push(sample)
  }
  return [...found.values()]
}
