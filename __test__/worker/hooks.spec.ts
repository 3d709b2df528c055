// The hooks pre_request and post_request wrap the application only if at least one is defined.

import http from 'node:http'
import test from 'ava'

import type { Target } from '../../ts/engine/engine.ts'
import type { BootMessage } from '../../ts/messages.ts'
import { WorkerHooks } from '../../ts/worker/hooks.ts'

const MESSAGE = { config: { workers: 1, timeout: 30 }, listeners: [], age: 1, requestLimit: 0 }

function createHooks(name: 'post_fork' | 'pre_request' | 'post_request'): WorkerHooks {
  const log = new Proxy({}, { get: () => () => {} })
  const context = { log, requests: () => 0, alive: () => true, beat: () => {} }
  const table = new Map([[name, () => {}]])
  return new WorkerHooks(table, MESSAGE as unknown as BootMessage, context as never)
}

const fetch: Target = { style: 'fetch', fetch: () => new Response() }

test('without pre_request and post_request the application is not wrapped', (t) => {
  const server = http.createServer(() => {})
  const before = server.listeners('request')
  const target: Target = { style: 'node', server }
  const hooks = createHooks('post_fork')
  t.is(hooks.wrapTarget(target), target)
  t.deepEqual(server.listeners('request'), before)
  t.is(hooks.wrapTarget(fetch), fetch)
})

for (const name of ['pre_request', 'post_request'] as const) {
  test(`with ${name} the application is wrapped`, (t) => {
    const server = http.createServer(() => {})
    const before = server.listeners('request')
    createHooks(name).wrapTarget({ style: 'node', server })
    t.notDeepEqual(server.listeners('request'), before)
    t.not(createHooks(name).wrapTarget(fetch), fetch)
  })
}
