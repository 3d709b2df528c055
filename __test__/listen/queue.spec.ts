import test from 'ava'
import { backlogWarning } from '../../ts/listen/queue.ts'

test('a backlog beyond somaxconn is worth a warning, one within is not', (t) => {
  const read = () => '4096\n'
  t.is(backlogWarning(4096, read), undefined)
  t.is(
    backlogWarning(4097, read),
    'backlog=4097 is more than the system gives: net.core.somaxconn=4096 holds',
  )
})

test('nothing is said where the system does not say how many it holds', (t) => {
  const read = () => {
    throw new TypeError('no such file')
  }
  t.is(backlogWarning(100_000, read), undefined)
})
