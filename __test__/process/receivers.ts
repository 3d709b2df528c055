// Receivers of datagrams and streams, like syslog and statsd. Python receives unix datagrams, which
// Node cannot.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { ExecutionContext } from 'ava'

import { until } from './program.ts'

export interface Receiver {
  /** What the settings name it by. */
  readonly address: string
  readonly received: string[]
  /** Waits for a message like this one. */
  message(pattern: RegExp): Promise<string>
}

export async function udpReceiver(t: ExecutionContext): Promise<Receiver> {
  const received: string[] = []
  const socket = createSocket('udp4').on('message', (message) => {
    received.push(message.toString())
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return receiver(`127.0.0.1:${socket.address().port}`, received)
}

/** TCP, or a unix stream at a path. */
export async function streamReceiver(t: ExecutionContext, path?: string): Promise<Receiver> {
  const received: string[] = []
  const server = createServer((socket) => {
    let rest = ''
    t.teardown(() => socket.destroy())
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      received.push(...lines)
    })
  })
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const place = typeof address === 'string' ? address : `127.0.0.1:${address?.port}`
  return receiver(place, received)
}

export const hasPython = spawnSync('python3', ['-c', '']).status === 0

const DATAGRAMS = `
import socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(repr(receiver.recv(65536).decode()), flush=True)
`

export async function unixReceiver(t: ExecutionContext, path: string): Promise<Receiver> {
  const received: string[] = []
  const child: ChildProcess = spawn('python3', ['-c', DATAGRAMS, path])
  t.teardown(() => child.kill('SIGKILL'))
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    received.push(...lines)
  })
  await until(() => received.shift() === 'bound', 'the receiver')
  return receiver(path, received)
}

function receiver(address: string, received: string[]): Receiver {
  const message = (pattern: RegExp) =>
    until(() => received.find((text) => pattern.test(text)), `a message like ${pattern}`).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${received.join('\n')}`)
      },
    )
  return { address, received, message }
}
