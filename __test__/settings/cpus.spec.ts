// Finds the number of processors for `workers: auto` in control group files of the kernel's format.
import test from 'ava'

import type { ReadText } from '../../ts/process/control-groups.ts'
import { availableCpus, cpuQuota } from '../../ts/settings/cpus.ts'

function system(files: Record<string, string>): ReadText {
  return (path) => files[path]
}

test('without a control group, availableCpus is the parallelism of the system', (t) => {
  t.is(cpuQuota(system({})), undefined)
  t.is(availableCpus(system({}), 6), 6)
})

test('cgroup v2: the quota of a container is read at the root of its mount', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/cpu.max': '200000 100000\n',
  })
  t.is(cpuQuota(read), 2)
  t.is(availableCpus(read, 8), 2)
  t.is(availableCpus(read, 1), 1)
})

test('cgroup v2: the smallest quota on the path to the root is used', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/app.slice/web.service\n',
    '/sys/fs/cgroup/app.slice/cpu.max': '150000 100000\n',
    '/sys/fs/cgroup/app.slice/web.service/cpu.max': 'max 100000\n',
  })
  t.is(cpuQuota(read), 1.5)
  t.is(availableCpus(read, 8), 2)
})

test('cgroup v2: a quota of max is no limit', (t) => {
  const read = system({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' })
  t.is(cpuQuota(read), undefined)
})

test('a quota below one processor means one worker', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/cpu.max': '10000 100000\n',
  })
  t.is(availableCpus(read, 8), 1)
})

test('cgroup v1: the quota is found under cpu and under cpu,cpuacct', (t) => {
  for (const mount of ['cpu', 'cpu,cpuacct']) {
    const read = system({
      '/proc/self/cgroup': '4:memory:/x\n3:cpu,cpuacct:/docker/abc\n0::/\n',
      [`/sys/fs/cgroup/${mount}/docker/abc/cpu.cfs_quota_us`]: '300000\n',
      [`/sys/fs/cgroup/${mount}/docker/abc/cpu.cfs_period_us`]: '100000\n',
    })
    t.is(cpuQuota(read), 3, mount)
  }
})

test('cgroup v1: with the path of the host, the quota is read at the root of the mount', (t) => {
  const read = system({
    '/proc/self/cgroup': '3:cpu:/docker/abc\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  })
  t.is(cpuQuota(read), 0.5)
})

test('cgroup v1: a quota of -1 is no limit', (t) => {
  const read = system({
    '/proc/self/cgroup': '3:cpu:/\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  })
  t.is(cpuQuota(read), undefined)
})
