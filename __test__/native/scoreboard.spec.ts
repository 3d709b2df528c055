// The scoreboard through the addon: two mappings of one board, and numbers that are wrong.

import { JAVASCRIPT_CELLS, LOOP_CELLS } from '../../ts/metrics/cells.ts'
import { addon, testNative } from './addon.ts'

testNative('a worker writes its slot and the arbiter reads it', (t) => {
  const { Scoreboard } = addon()
  const arbiter = Scoreboard.create(4)
  t.is(arbiter.slots, 4)
  t.is(arbiter.claim(2, 41), 1)
  const worker = Scoreboard.open(arbiter.fd, 4)
  worker.beat(2)
  worker.setState(2, 2)
  const { beatAgeMs, ...slot } = arbiter.read(2)
  t.true(beatAgeMs >= 0 && beatAgeMs < 10_000)
  const counts = { connections: 0, inFlight: 0, requests: 0, bytesIn: 0, bytesOut: 0 }
  t.deepEqual(slot, { generation: 1, pid: 41, state: 2, ...counts })
})

testNative('a slot is used again with a new generation, after its release', (t) => {
  const board = addon().Scoreboard.create(1)
  board.claim(1, 41)
  t.throws(() => board.claim(1, 42), { message: /slot 1 is taken/ })
  board.release(1)
  t.is(board.read(1).state, 0)
  t.is(board.claim(1, 42), 2)
})

testNative('each slot has a descriptor to be kicked by, where the system has them', (t) => {
  const { Scoreboard } = addon()
  const board = Scoreboard.create(3)
  const count = process.platform === 'linux' ? 3 : 0
  t.is(new Set(board.kickFds()).size, count)
  t.deepEqual(Scoreboard.open(board.fd, 3).kickFds(), [])
  t.notThrows(() => board.kickAll())
})

testNative('totals and metrics begin at zero', (t) => {
  const board = addon().Scoreboard.create(2)
  t.deepEqual(board.totals(), { accepted: 0, requests: 0, bytesIn: 0, bytesOut: 0 })
  const cells = LOOP_CELLS + JAVASCRIPT_CELLS
  t.is(board.seriesKeys().length, 1, 'the one for series that do not fit')
  for (const slot of [0, 1, 2]) {
    const metrics = board.readMetrics(slot, 1)
    t.is(metrics.length, cells + 16)
    t.true(metrics.every((value) => value === 0))
  }
  t.throws(() => board.readMetrics(3, 1), { code: 'ERR_INVALID_ARG_VALUE' })
})

testNative('wrong numbers are errors', (t) => {
  const { Scoreboard } = addon()
  const board = Scoreboard.create(4)
  const code = 'ERR_INVALID_ARG_VALUE'
  for (const slot of [0, 5, -1, 2 ** 31]) {
    t.throws(() => board.read(slot), { code }, `read(${slot})`)
    t.throws(() => board.beat(slot), { code }, `beat(${slot})`)
    t.throws(() => board.claim(slot, 1), { code }, `claim(${slot})`)
    t.throws(() => board.release(slot), { code }, `release(${slot})`)
    t.throws(() => board.kick(slot), { code }, `kick(${slot})`)
    t.throws(() => board.setState(slot, 2), { code }, `setState(${slot})`)
  }
  t.throws(() => board.setState(1, 9), { message: /no state has number 9/ })
  t.throws(() => Scoreboard.create(0), { code })
  t.throws(() => Scoreboard.open(board.fd, 5), { code })
  t.throws(() => Scoreboard.open(-1, 4), { code: 'EBADF' })
})
