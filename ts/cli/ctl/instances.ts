/** Finds the running instances of this user by their control sockets. */

import { sendCommand } from '../../control/client.ts'
import { listControlDirectories, listSockets } from '../../control/directory.ts'
import type { StatusReport } from '../../control/reports.ts'
import { monocerosError } from '../../errors.ts'

/** A running instance. */
export interface Instance {
  readonly path: string
  readonly status: StatusReport
}

/** How the operator names an instance. */
export interface InstanceChoice {
  /** Path of the socket. */
  readonly socket?: string
  /** Process id of the arbiter, or its `proc_name`. */
  readonly instance?: string
}

/** An instance that does not answer within this time is not listed. */
const ANSWER_MS = 2_000

/** Lists the instances that answer, the oldest first. */
export async function listInstances(env: NodeJS.ProcessEnv): Promise<Instance[]> {
  const paths = listControlDirectories(env).flatMap(listSockets)
  const found = await Promise.all(paths.map(askStatus))
  return found
    .filter((one) => one !== undefined)
    .sort((a, b) => b.status.uptime - a.status.uptime || a.status.pid - b.status.pid)
}

/** Returns the path of the chosen socket, or of the only one. Throws if several match, or none. */
export async function findSocket(env: NodeJS.ProcessEnv, choice: InstanceChoice): Promise<string> {
  if (choice.socket !== undefined) return choice.socket
  const all = await listInstances(env)
  const { instance } = choice
  const matching = all.filter(
    ({ status: { pid, name } }) =>
      instance === undefined || String(pid) === instance || name === instance,
  )
  const [first, second] = matching
  if (first === undefined) {
    const where = listControlDirectories(env).join(' and ')
    throw monocerosError('ERR_CONTROL_NONE', instance, where)
  }
  if (second === undefined) return first.path
  const list = matching.map(({ status: { pid, name, app } }) => `  ${pid}  ${name ?? app}`)
  throw monocerosError('ERR_CONTROL_SEVERAL', list.join('\n'))
}

async function askStatus(path: string): Promise<Instance | undefined> {
  const signal = AbortSignal.timeout(ANSWER_MS)
  const answer = await sendCommand(path, { command: 'status', args: [], signal })
  if (!answer.ok || !isStatus(answer.data)) return undefined
  return { path, status: answer.data }
}

function isStatus(data: unknown): data is StatusReport {
  return typeof data === 'object' && data !== null && 'pid' in data
}
