/**
 * The protocol of the control socket: lines of JSON. A client sends a request, `{"command":
 * "scale", "args": ["+1"]}`. The server sends one answer for each request, in order. Before the
 * answer to `logs` it sends lines of the log.
 */

import type { CommandName } from './commands.ts'

/** A request that a client has sent. */
export interface ControlRequest {
  /** Copied to the answer. */
  readonly id?: number | string
  readonly command: string
  readonly args: readonly string[]
}

/** The result of a command: data for `ok`, or why it was refused. */
export type ControlAnswer =
  | { readonly ok: true; readonly data: unknown }
  | { readonly ok: false; readonly error: string; readonly isBusy?: true }

/** A message from the server: lines of the log, or the answer. */
export type ServerMessage = ({ readonly id?: number | string } & ControlAnswer) | LogLinesMessage

/** Lines of the error log, before the answer to `logs`. */
export interface LogLinesMessage {
  readonly id?: number | string
  readonly lines: readonly string[]
}

/** A valid command on its way through the arbiter's loop. */
export interface ControlCall {
  readonly command: CommandName
  readonly args: readonly string[]
  /** Sends the answer. Only the first call has an effect. */
  answer(answer: ControlAnswer): void
}

/** A command is answered after this time at the latest. */
export const MAX_WAIT_MS = 3_600_000
/** Maximum length of a request, in characters. */
export const MAX_REQUEST_LENGTH = 4_096
/** Maximum length of what is discarded after the last answer, in characters. */
export const MAX_DISCARDED_LENGTH = 65_536
/** Maximum number of connections. */
export const MAX_CONNECTIONS = 64
/** A connection without a request is closed after this time. */
export const FIRST_REQUEST_MS = 10_000
/** A connection is closed this long after its latest answer. */
export const IDLE_MS = 300_000
/** A connection is closed if it does not read this much. */
export const MAX_UNSENT_BYTES = 1024 * 1024

/** Encodes one line. */
export function encodeLine(message: object): string {
  return `${JSON.stringify(message)}\n`
}

/** Parses a request; returns the problem of a line that is none. */
export function parseRequest(line: string): ControlRequest | string {
  if (line.length > MAX_REQUEST_LENGTH)
    return `a request has at most ${MAX_REQUEST_LENGTH} characters`
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'a request must be one line of JSON'
  }
  if (typeof value !== 'object' || value === null || !('command' in value))
    return 'a request must be an object with "command"'
  const { command } = value
  const id = 'id' in value ? value.id : undefined
  const args: unknown = 'args' in value ? value.args : []
  if (typeof command !== 'string') return '"command" must be a text'
  if (!Array.isArray(args) || !args.every(isText)) return '"args" must be a list of texts'
  if (id === undefined) return { command, args }
  if (typeof id !== 'number' && typeof id !== 'string') return '"id" must be a number or a text'
  return { id, command, args }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
