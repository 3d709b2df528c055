// Out-of-memory kills, read from files as the kernel writes them.
import test from 'ava'

import { countOomKills } from '../../ts/process/memory.ts'

function system(files: Record<string, string>): (path: string) => string | undefined {
  return (path) => files[path]
}

const EVENTS = 'low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n'
const CONTROL = 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n'

test('v2: the count of the own group', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/system.slice/web.service\n',
    '/sys/fs/cgroup/system.slice/web.service/memory.events': EVENTS,
    '/sys/fs/cgroup/system.slice/memory.events': EVENTS.replace('3', '7'),
  })
  t.is(countOomKills(read), 3)
})

test('v2: in a container the group is at the root of the mount', (t) => {
  const read = system({
    '/proc/self/cgroup': '0::/docker/0123\n',
    '/sys/fs/cgroup/memory.events': EVENTS,
  })
  t.is(countOomKills(read), 3)
})

test('v1: memory has a tree of its own', (t) => {
  const read = system({
    '/proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/web\n0::/x\n',
    '/sys/fs/cgroup/memory/web/memory.oom_control': CONTROL,
  })
  t.is(countOomKills(read), 2)
})

test('without a counter the number of kills is unknown', (t) => {
  t.is(countOomKills(system({})), undefined)
  t.is(countOomKills(system({ '/proc/self/cgroup': '0::/\n' })), undefined)
})
