/** `monoceros ctl`: sends commands to a running server and shows the answers. */

import { escapeControls, formatTable } from '../../text/format.ts'
import { findStyle } from '../../text/style.ts'
import { printToStdout } from '../print.ts'
import { type CtlArguments, ctlHelpText, parseCtlArguments } from './arguments.ts'
import { findSocket, listInstances } from './instances.ts'
import { runCommand } from './run-command.ts'

/** Runs the command line after `ctl`; resolves to the exit status. */
export async function runCtl(argv: readonly string[]): Promise<number> {
  const options = parseCtlArguments(argv)
  const [command, ...args] = options.words
  if (options.isHelp) {
    printToStdout(ctlHelpText())
    return 0
  }
  if (command === 'completion') {
    const { completionScript } = await import('./completion.ts')
    printToStdout(completionScript(args))
    return 0
  }
  if (command === 'list') return printInstances(options)
  const path = await findSocket(process.env, options)
  if (command !== undefined) return runCommand(path, options, { words: options.words })
  const { runPrompt } = await import('./prompt.ts')
  return runPrompt(path, options)
}

async function printInstances({ isJson }: CtlArguments): Promise<number> {
  const instances = await listInstances(process.env)
  if (isJson) printToStdout(`${JSON.stringify(instances, null, 2)}\n`)
  else if (instances.length === 0) printToStdout('No instance of this user is running.\n')
  else {
    const rows = instances.map(({ path, status: { pid, phase, workers, name, app } }) => [
      String(pid),
      phase,
      `${workers.serving}/${workers.wanted}`,
      escapeControls(name ?? app),
      path,
    ])
    printToStdout(
      formatTable(
        [['PID', 'PHASE', 'WORKERS', 'NAME', 'SOCKET'], ...rows],
        findStyle(process.stdout, process.env),
      ),
    )
  }
  return 0
}
