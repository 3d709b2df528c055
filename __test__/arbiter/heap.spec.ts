// The heap limit of workers in a container with a memory limit.

import test from 'ava'

import { chooseHeapFlags } from '../../ts/arbiter/heap.ts'
import type { Config } from '../../ts/settings/config.ts'
import { memoryLimit } from '../../ts/settings/cpus.ts'

const MB = 1_048_576

test('the workers and the surplus of a reload share three quarters of the memory limit', (t) => {
  t.deepEqual(chooseHeapFlags(config(3), {}, 1_024 * MB), ['--max-old-space-size=192'])
  t.deepEqual(chooseHeapFlags(config(1), {}, 64_000 * MB), ['--max-old-space-size=4096'])
  t.deepEqual(chooseHeapFlags(config(16), {}, 256 * MB), ['--max-old-space-size=64'])
})

test('there is no heap flag without a memory limit, or if the operator has set one', (t) => {
  t.deepEqual(chooseHeapFlags(config(3), {}, undefined), [])
  const env = { NODE_OPTIONS: '--max-old-space-size=300' }
  t.deepEqual(chooseHeapFlags(config(3), env, 1_024 * MB), [])
  const raw = { ...config(3), raw_env: ['NODE_OPTIONS=--max_old_space_size=300'] }
  t.deepEqual(chooseHeapFlags(raw, {}, 1_024 * MB), [])
  const percent = { ...config(3), raw_env: ['NODE_OPTIONS=--max-old-space-size-percentage=50'] }
  t.deepEqual(chooseHeapFlags(percent, {}, 1_024 * MB), [])
})

test('the memory limit is the lowest of all parent control groups, in both versions', (t) => {
  const v2: Record<string, string> = {
    '/proc/self/cgroup': '0::/a/b\n',
    '/sys/fs/cgroup/a/memory.max': '1000000\n',
    '/sys/fs/cgroup/a/b/memory.max': 'max\n',
  }
  t.is(
    memoryLimit((path) => v2[path]),
    1_000_000,
  )
  const v1: Record<string, string> = {
    '/proc/self/cgroup': '5:memory:/a\n1:cpu:/a\n',
    '/sys/fs/cgroup/memory/a/memory.limit_in_bytes': '500000\n',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
  }
  t.is(
    memoryLimit((path) => v1[path]),
    500_000,
  )
  t.is(
    memoryLimit(() => undefined),
    undefined,
  )
})

function config(workers: number): Config {
  return { workers, max_surge: 1, raw_env: [] } as unknown as Config
}
