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
  return (await askAll(env)).answering
}

async function askAll(
  env: NodeJS.ProcessEnv,
): Promise<{ readonly answering: Instance[]; readonly silentPaths: string[] }> {
  const paths = listControlDirectories(env).flatMap(listSockets)
  const found = await Promise.all(paths.map(askStatus))
  const answering = found
    .flatMap(({ path, status }) => (status === undefined ? [] : [{ path, status }]))
    .sort((a, b) => b.status.uptime - a.status.uptime || a.status.pid - b.status.pid)
  const silentPaths = found.filter(({ isSilent }) => isSilent).map(({ path }) => path)
  return { answering, silentPaths }
}

/** Returns the path of the chosen socket, or of the only one. Throws if several match, or none. */
export async function findSocket(env: NodeJS.ProcessEnv, choice: InstanceChoice): Promise<string> {
  if (choice.socket !== undefined) return choice.socket
  const { answering, silentPaths } = await askAll(env)
  const { instance } = choice
  const matching = answering.filter(
    ({ status: { pid, name } }) =>
      instance === undefined || String(pid) === instance || name === instance,
  )
  const [first, second] = matching
  if (first === undefined) {
    const [silent] = silentPaths
    if (silent !== undefined) {
      const problem = `the server has not answered within ${ANSWER_MS / 1_000} s; is it suspended?`
      throw monocerosError('ERR_CONTROL_CONNECT', silent, problem)
    }
    const where = listControlDirectories(env).join(' and ')
    throw monocerosError('ERR_CONTROL_NONE', instance, where)
  }
  if (second === undefined) return first.path
  const list = matching.map(({ status: { pid, name, app } }) => `  ${pid}  ${name ?? app}`)
  throw monocerosError('ERR_CONTROL_SEVERAL', list.join('\n'))
}

/** What one socket has answered. */
interface Asked {
  readonly path: string
  readonly status?: StatusReport
  /** True if a process listens and does not answer. */
  readonly isSilent: boolean
}

async function askStatus(path: string): Promise<Asked> {
  const answer = await sendCommand(path, { command: 'status', args: [], limitMs: ANSWER_MS })
  if (answer.ok && isStatus(answer.data)) return { path, status: answer.data, isSilent: false }
  return { path, isSilent: 'code' in answer && answer.code === 'ETIMEDOUT' }
}

function isStatus(data: unknown): data is StatusReport {
  return typeof data === 'object' && data !== null && 'pid' in data
}
