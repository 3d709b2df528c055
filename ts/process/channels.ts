/**
 * Sockets that connect this process with a child it has started, or with the process that started
 * it.
 */

import type { ChildProcess } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { Socket } from 'node:net'

import { LineSplitter } from '../log/lines.ts'
import {
  CHANNEL_FD,
  createMessageDecoder,
  DESCRIPTOR_CHANNEL_FD,
  encodeMessage,
  type SuccessorMessage,
  type WorkerMessage,
} from '../messages.ts'
import { native } from '../native/index.ts'
import type { Child, ChildExit, ParentChannel } from './system.ts'

/** A child process, or an emitter of one `error` event if the process could not be started. */
export type SpawnResult = EventEmitter &
  Partial<Pick<ChildProcess, 'pid' | 'stdio' | 'stdout' | 'stderr' | 'unref'>>

/** Returns the socket at a descriptor of the child; undefined if there is none. */
export function getChannel(child: SpawnResult, fd: number): Socket | undefined {
  const stream = child.stdio?.[fd]
  if (!(stream instanceof Socket)) return undefined
  // A child that dies while this process writes to it is reported by its exit.
  stream.on('error', () => {})
  return stream.setEncoding('utf8')
}

// Node has no public API for the descriptor of a socket.
function fdOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined
  return typeof handle.fd === 'number' ? handle.fd : undefined
}

/** Turns a worker's process into the interface that the arbiter uses. */
export function wrapChild(child: SpawnResult): Child {
  const channel = getChannel(child, CHANNEL_FD)
  const descriptorChannel = getChannel(child, DESCRIPTOR_CHANNEL_FD)
  return {
    pid: child.pid,
    send: (message) => void channel?.write(encodeMessage(message)),
    onMessage(callback) {
      for (const socket of [channel, descriptorChannel]) {
        socket?.on('data', createMessageDecoder<WorkerMessage>(callback))
      }
    },
    sendDescriptor(id, fd) {
      const socketFd = descriptorChannel === undefined ? undefined : fdOf(descriptorChannel)
      if (socketFd === undefined) return
      try {
        native?.sendDescriptor(socketFd, id, fd)
      } catch {
        // The worker has exited, or does not read the channel and stops waiting by itself.
      }
    },
    onOutput(callback) {
      for (const stream of ['stdout', 'stderr'] as const) {
        const lines = new LineSplitter((line) => callback(stream, line))
        child[stream]?.setEncoding('utf8').on('data', (text: string) => lines.push(text))
        child[stream]?.on('end', () => lines.flush())
      }
    },
    onExit: (callback) => watchExit(child, callback),
    detach() {
      child.unref?.()
      channel?.destroy()
      descriptorChannel?.destroy()
    },
  }
}

// 'close' follows when the last message has been read (why the application failed, for example). A
// process that the worker has left running may hold the channel open, so the wait after 'exit' is
// short.
const CHANNEL_CLOSE_WAIT_MS = 250

/** Calls back once with the exit of a child, or with the error that kept it from starting. */
export function watchExit(child: SpawnResult, callback: (exit: ChildExit) => void): void {
  let isReported = false
  const report = (exit: ChildExit) => {
    if (isReported) return
    isReported = true
    callback(exit)
  }
  child.on('exit', (code: number | null, signal: NodeJS.Signals | null) => {
    const exit = { code, signal: signalName(signal) }
    const timer = setTimeout(() => report(exit), CHANNEL_CLOSE_WAIT_MS)
    child.on('close', () => {
      clearTimeout(timer)
      report(exit)
    })
  })
  child.on('error', (thrown: unknown) => {
    const error = thrown instanceof Error ? thrown.message : String(thrown)
    if (child.pid === undefined) report({ code: null, signal: null, error })
  })
}

function signalName(signal: NodeJS.Signals | null): string | null {
  return signal === null ? null : signal.slice('SIG'.length)
}

/** Opens the channel on descriptor 3 to the process that started this one. */
export function openParentChannel(): ParentChannel {
  const socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true })
  // 'close' reports that the parent has exited.
  socket.on('error', () => {})
  socket.resume().unref()
  return {
    send: (message) => void socket.write(encodeMessage(message)),
    onMessage: (callback) =>
      void socket.setEncoding('utf8').on('data', createMessageDecoder<SuccessorMessage>(callback)),
    onGone: (callback) => void socket.on('close', callback),
    close: () => void socket.destroySoon(),
  }
}
