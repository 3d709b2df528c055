// The warning about a backlog that the kernel does not grant.

import test from 'ava'
import { checkBacklog } from '../../ts/listen/backlog.ts'

test('a backlog above net.core.somaxconn causes a warning', (t) => {
  const read = () => '4096\n'
  t.is(checkBacklog(4096, read), undefined)
  t.is(
    checkBacklog(4097, read),
    'backlog=4097 exceeds the limit of the system: net.core.somaxconn=4096',
  )
})

test('there is no backlog warning on a system without net.core.somaxconn', (t) => {
  const read = () => {
    throw new TypeError('no such file')
  }
  t.is(checkBacklog(100_000, read), undefined)
})
