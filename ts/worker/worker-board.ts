/**
 * A worker's slot on the scoreboard: the shared page where the addon is loaded, else messages over
 * the channel.
 */

import type { Engine } from '../engine/engine.ts'
import { type BootMessage, SCOREBOARD_FD } from '../messages.ts'
import { native } from '../native/index.ts'
import type { WorkerScoreboard } from '../scoreboard/board.ts'
import { ChannelScoreboard } from '../scoreboard/messages.ts'
import { SharedWorkerScoreboard } from '../scoreboard/shared.ts'
import type { Channel } from './channel.ts'

/** Opens the slot that the boot message names. */
export function openWorkerBoard(
  channel: Channel,
  { message, engine }: { message: BootMessage; engine: Engine },
): WorkerScoreboard {
  const { slot, slotCount } = message
  const messages = new ChannelScoreboard(
    (beat) => channel.send(beat),
    () => engine.counters(),
  )
  if (native === null) return messages
  const shared = new SharedWorkerScoreboard(native, { fd: SCOREBOARD_FD, slots: slotCount, slot })
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
