// The share of time in which an event loop was busy.

import test from 'ava'

import { LoopUtilizationMeter } from '../../../ts/arbiter/monitoring/loop-utilization.ts'
import type { WorkerHandle } from '../../../ts/arbiter/worker-handle.ts'

test('each reader has the share since its own previous reading', (t) => {
  const worker = {} as WorkerHandle
  const [first, second] = [new LoopUtilizationMeter(), new LoopUtilizationMeter()]
  t.is(first.measure(worker, { activeMs: 0, idleMs: 0 }), 0)
  t.is(first.measure(worker, { activeMs: 1_000, idleMs: 1_000 }), 0.5)
  t.is(first.measure(worker, { activeMs: 1_900, idleMs: 1_100 }), 0.9)
  t.is(second.measure(worker, { activeMs: 2_000, idleMs: 2_000 }), 0.5)
  // The worker has not reported since.
  t.is(first.measure(worker, { activeMs: 1_900, idleMs: 1_100 }), 0.9)
})
