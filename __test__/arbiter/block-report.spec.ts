// What the log has about a worker whose watcher found no JavaScript stack.

import test from 'ava'
import { usesLog } from '../uses.ts'
import { makeAllReady, runQueued, startArbiter } from './fake-system.ts'

test('a blocked worker without a stack and a system call is busy in native code', async (t) => {
  const stage = await startArbiter({ workers: 1, timeout: 3 })
  usesLog(t, () => stage.log.join('\n'))
  const [worker] = stage.system.children
  await makeAllReady(stage)
  await stage.system.advance(3_100)
  worker?.sendMessage({
    type: 'blocked',
    ...{ isFinal: true, stack: null, systemCall: null, requests: [] },
  })
  await runQueued()
  t.deepEqual(worker?.signals, ['ABRT'])
  const logged = stage.log.join('\n')
  t.regex(logged, /critical Worker \(pid:1001\) is busy in native code, so V8 cannot report/)
  t.notRegex(logged, /requests in flight/)
})
