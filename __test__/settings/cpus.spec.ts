// The number of processors that `workers: auto` means, from files as the kernel writes them.
import test from 'ava'

import type { ReadText } from '../../ts/process/control-groups.ts'
import { availableCpus, cpuQuota } from '../../ts/settings/cpus.ts'

function system(files: Record<string, string>): ReadText {
  return (path) => files[path]
}

test('without a control group it is what the system schedules on', (t) => {
  t.is(cpuQuota(system({})), undefined)
  t.is(availableCpus(system({}), 6), 6)
})

test('v2: the quota of a container is at the root of its mount', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/cpu.max': '200000 100000\n',
  })
  t.is(cpuQuota(read), 2)
  t.is(availableCpus(read, 8), 2)
  t.is(availableCpus(read, 1), 1)
})

test('v2: the smallest quota on the way to the root counts', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/app.slice/web.service\n',
    '/sys/fs/cgroup/app.slice/cpu.max': '150000 100000\n',
    '/sys/fs/cgroup/app.slice/web.service/cpu.max': 'max 100000\n',
  })
  t.is(cpuQuota(read), 1.5)
  t.is(availableCpus(read, 8), 2)
})

test('v2: max is no limit', (t) => {
  const read = system({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' })
  t.is(cpuQuota(read), undefined)
})

test('less than one processor is one worker', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/cpu.max': '10000 100000\n',
  })
  t.is(availableCpus(read, 8), 1)
})

test('v1: the quota is found under either name of the mount', (t) => {
  for (const mount of ['cpu', 'cpu,cpuacct']) {
    const read = system({
      '/proc/self/cgroup': '4:memory:/x\n3:cpu,cpuacct:/docker/abc\n0::/\n',
      [`/sys/fs/cgroup/${mount}/docker/abc/cpu.cfs_quota_us`]: '300000\n',
      [`/sys/fs/cgroup/${mount}/docker/abc/cpu.cfs_period_us`]: '100000\n',
    })
    t.is(cpuQuota(read), 3, mount)
  }
})

test("v1: the path of the host does not exist inside, the container's files are at the root", (t) => {
  const read = system({
    '/proc/self/cgroup': '3:cpu:/docker/abc\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  })
  t.is(cpuQuota(read), 0.5)
})

test('v1: -1 is no limit', (t) => {
  const read = system({
    '/proc/self/cgroup': '3:cpu:/\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  })
  t.is(cpuQuota(read), undefined)
})
