// What hooks round requests cost a worker that has none: nothing is put round its application.

import http from 'node:http'
import test from 'ava'

import type { Target } from '../../ts/engine/engine.ts'
import type { BootMessage } from '../../ts/messages.ts'
import { WorkerHooks } from '../../ts/worker/hooks.ts'

const MESSAGE = { config: { workers: 1, timeout: 30 }, listeners: [], age: 1, requestLimit: 0 }

function hooksWith(name: 'post_fork' | 'pre_request' | 'post_request'): WorkerHooks {
  const log = new Proxy({}, { get: () => () => {} })
  const facts = { log, requests: () => 0, alive: () => true, beat: () => {} }
  const table = new Map([[name, () => {}]])
  return new WorkerHooks(table, MESSAGE as unknown as BootMessage, facts as never)
}

const fetch: Target = { style: 'fetch', fetch: () => new Response() }

test('without pre_request and post_request the application is served as it is', (t) => {
  const server = http.createServer(() => {})
  const before = server.listeners('request')
  const target: Target = { style: 'node', server }
  const hooks = hooksWith('post_fork')
  t.is(hooks.wrapTarget(target), target)
  t.deepEqual(server.listeners('request'), before)
  t.is(hooks.wrapTarget(fetch), fetch)
})

for (const name of ['pre_request', 'post_request'] as const) {
  test(`with ${name} something is round the application`, (t) => {
    const server = http.createServer(() => {})
    const before = server.listeners('request')
    hooksWith(name).wrapTarget({ style: 'node', server })
    t.notDeepEqual(server.listeners('request'), before)
    t.not(hooksWith(name).wrapTarget(fetch), fetch)
  })
}
