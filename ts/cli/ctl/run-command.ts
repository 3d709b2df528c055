/** Sends one command to the server and prints the answer. */

import { sendCommand } from '../../control/client.ts'
import { isCommandName } from '../../control/commands.ts'
import { type MonocerosError, monocerosError } from '../../errors.ts'
import { system } from '../../process/system.ts'
import { escapeControls } from '../../text/format.ts'
import { findStyle } from '../../text/style.ts'
import { printToStdout } from '../print.ts'
import type { CtlArguments } from './arguments.ts'
import { formatAnswer } from './format.ts'
import { formatTop, type TopReport, watchLoad } from './top.ts'

const CLEAR_SCREEN = '\u001b[H\u001b[2J'

/** One command with its arguments, and what ends it early. */
export interface CommandWords {
  readonly words: readonly string[]
  readonly signal?: AbortSignal
}

/** Sends one command and prints the answer; resolves to the exit status. */
export async function runCommand(
  path: string,
  { isJson }: Pick<CtlArguments, 'isJson'>,
  { words, signal }: CommandWords,
): Promise<number> {
  const [command = '', ...args] = words
  const isTop = command === 'top' && args.length === 0
  const answer = isTop
    ? await watchLoad(path, {
        onReport: (report) => printTop(report, isJson),
        ...(signal === undefined ? {} : { signal }),
      })
    : await sendCommand(path, {
        command,
        args,
        onLines: (lines) => printLogLines(lines, isJson),
        ...(signal === undefined ? {} : { signal }),
      })
  if (!answer.ok && 'code' in answer) throw connectionError(path, answer)
  if (isTop && answer.ok) return 0
  if (isJson) {
    const shown = answer.ok ? answer.data : { error: answer.error }
    if (command !== 'logs' || !answer.ok) printToStdout(`${JSON.stringify(shown, null, 2)}\n`)
  } else if (!answer.ok) process.stderr.write(`monoceros: error: ${escapeControls(answer.error)}\n`)
  else if (isCommandName(command))
    printToStdout(formatAnswer(command, answer.data, findStyle(process.stdout, system.env)))
  return answer.ok ? 0 : 1
}

function connectionError(
  path: string,
  { error, code }: { error: string; code: string },
): MonocerosError {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file; is the server running?',
    ECONNREFUSED: 'no server listens there; is it running?',
    EACCES: 'it belongs to another user; run this command as that user',
    EAGAIN: 'the server has too many connections',
    ETIMEDOUT: `${error}; its arbiter may be suspended`,
  }
  return monocerosError('ERR_CONTROL_CONNECT', path, reasons[code] ?? error)
}

/** Prints a report over the previous one. Returns whether to go on, which only a terminal shows. */
function printTop(report: TopReport, isJson: boolean): boolean {
  const isLive = process.stdout.isTTY === true && !isJson
  const text = isJson
    ? `${JSON.stringify(report, null, 2)}\n`
    : formatTop(report, findStyle(process.stdout, system.env))
  printToStdout(isLive ? `${CLEAR_SCREEN}${text}` : text)
  return isLive
}

function printLogLines(lines: readonly string[], isJson: boolean): void {
  const isTerminal = process.stdout.isTTY === true
  const shown = lines.map((line) => {
    if (isJson) return JSON.stringify(line)
    return isTerminal ? escapeControls(line) : line
  })
  printToStdout(shown.map((line) => `${line}\n`).join(''))
}
