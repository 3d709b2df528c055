// A worker that has no boot message yet, on a fake system: its reactions to signals and to the exit
// of the arbiter.

import test from 'ava'

import type { WorkerMessage } from '../../ts/messages.ts'
import { type System, system } from '../../ts/process/system.ts'
import type { Channel } from '../../ts/worker/channel.ts'
import { Worker } from '../../ts/worker/worker.ts'

interface WorkerHarness {
  readonly sent: WorkerMessage[]
  readonly exits: number[]
  signal(name: string): void
  closeChannel(): void
}

function startWorker(): WorkerHarness {
  const sent: WorkerMessage[] = []
  const exits: number[] = []
  const listeners = new Map<string, () => void>()
  let onClose = () => {}
  const fakeSystem: System = {
    ...system,
    onSignal(signal, callback) {
      listeners.set(signal, callback)
      return () => listeners.delete(signal)
    },
    exit: ((status: number) => exits.push(status)) as unknown as System['exit'],
  }
  const channel: Channel = {
    send: (message) => sent.push(message),
    sendLast: (message, callback) => {
      sent.push(message)
      callback()
    },
    onMessage: () => {},
    onClose: (callback) => {
      onClose = callback
    },
    unref: () => {},
  }
  new Worker(fakeSystem, channel).start()
  return {
    sent,
    exits,
    signal: (name) => listeners.get(name)?.(),
    closeChannel: () => onClose(),
  }
}

for (const signal of ['TERM', 'INT', 'QUIT'] as const) {
  test(`${signal} before the boot message exits at once with 0 and notifies the arbiter`, (t) => {
    const worker = startWorker()
    worker.signal(signal)
    t.deepEqual(worker.exits, [0])
    t.deepEqual(worker.sent, [{ type: 'signaled', signal }])
  })
}

test('a second TERM neither exits nor notifies again', (t) => {
  const worker = startWorker()
  worker.signal('TERM')
  worker.signal('TERM')
  t.deepEqual(worker.exits, [0])
  t.is(worker.sent.length, 1)
})

for (const signal of ['HUP', 'TTIN', 'TTOU', 'USR1', 'USR2', 'WINCH'] as const) {
  test(`${signal} before the boot message neither exits nor notifies`, (t) => {
    const worker = startWorker()
    worker.signal(signal)
    t.deepEqual(worker.exits, [])
    t.deepEqual(worker.sent, [])
  })
}

test('the exit of the arbiter before the boot message exits the worker with 0', (t) => {
  const worker = startWorker()
  worker.closeChannel()
  // A socket emits 'end' and then 'close'.
  worker.closeChannel()
  t.deepEqual(worker.exits, [0])
})
