/** A worker's slot on the scoreboard: the shared page where the addon is loaded, else messages over the channel. */

import type { Engine } from '../engine/engine.ts'
import { BOARD_FD, type BootMessage } from '../messages.ts'
import { native } from '../native/index.ts'
import type { WorkerBoard } from '../scoreboard/board.ts'
import { ChannelBoard } from '../scoreboard/messages.ts'
import { SharedWorkerBoard } from '../scoreboard/shared.ts'
import type { Channel } from './channel.ts'

/** Opens the slot that the boot message names. */
export function openWorkerBoard(
  channel: Channel,
  { message, engine }: { message: BootMessage; engine: Engine },
): WorkerBoard {
  const { slot, slots } = message
  const messages = new ChannelBoard(
    (beat) => channel.send(beat),
    () => engine.counters(),
  )
  if (native === null) return messages
  const shared = new SharedWorkerBoard(native, { fd: BOARD_FD, slots, slot })
  if (engine.name === 'native') return shared
  // The engine on node:http counts in JavaScript: its figures travel as messages.
  return {
    setState: (state) => shared.setState(state),
    beat() {
      shared.beat()
      messages.beat()
    },
  }
}
