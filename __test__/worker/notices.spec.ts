// The notice queue of a worker: the order of notices, and the turn of the event loop in which each
// is handled.

import test from 'ava'

import { type Notice, NoticeQueue } from '../../ts/worker/notices.ts'

test('a notice is handled before push returns', (t) => {
  const handled: string[] = []
  new NoticeQueue(({ type }) => handled.push(type)).push({ type: 'orphaned' })
  t.deepEqual(handled, ['orphaned'])
})

test('a notice that is pushed while another is handled is handled after it', (t) => {
  const log: string[] = []
  const queue = new NoticeQueue(({ type }: Notice) => {
    log.push(`${type} starts`)
    if (type === 'orphaned') {
      queue.push({ type: 'drained' })
      queue.push({ type: 'overdue' })
    }
    log.push(`${type} ends`)
  })
  queue.push({ type: 'orphaned' })
  t.deepEqual(log, [
    'orphaned starts',
    'orphaned ends',
    'drained starts',
    'drained ends',
    'overdue starts',
    'overdue ends',
  ])
})

test('an error of the handler reaches the caller, and later notices are handled', (t) => {
  const handled: string[] = []
  const queue = new NoticeQueue(({ type }) => {
    if (type === 'crash') throw new TypeError('broken')
    handled.push(type)
  })
  t.throws(() => queue.push({ type: 'crash', status: 1 }), { message: 'broken' })
  queue.push({ type: 'drained' })
  t.deepEqual(handled, ['drained'])
})
