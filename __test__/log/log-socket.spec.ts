// Log sockets without the addon.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'

import { udpReceiver } from '../process/receivers.ts'

const PROGRAM = fileURLToPath(new URL('./programs/last-datagram.ts', import.meta.url))

test('without the addon a datagram is sent before an exit', async (t) => {
  const { address, message } = await udpReceiver(t)
  await promisify(execFile)(process.execPath, ['--import', 'tsx', PROGRAM, address])
  t.is(await message(/./), 'last')
})
