// The scheduling policy of a worker's I/O thread, as the system reports it.
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import test from 'ava'

import { needs, needsAddon } from '../requirements.ts'
import { startProgram, until } from './program.ts'

const onLinux = needs('Linux', process.platform === 'linux', needsAddon(test))
const SCHED_OTHER = 0
const SCHED_BATCH = 3

onLinux(
  'an I/O thread preempts no other where there are more threads than processors',
  async (t) => {
    const many = Math.max(2, availableParallelism())
    t.deepEqual(await policies(many), Array(many).fill(SCHED_BATCH))
    t.deepEqual(await policies(1), [SCHED_OTHER])

    async function policies(workers: number): Promise<number[]> {
      const program = startProgram(t, {
        files: { 'app.cjs': 'module.exports = (req, res) => res.end()' },
        args: ['./app.cjs', '-b', '127.0.0.1:0', '-w', `${workers}`, '--log-level', 'debug'],
      })
      await program.ready(workers)
      return until(() => {
        const found = program.workers().map(policyOf)
        return found.length === workers && found.every(Number.isInteger) ? found : undefined
      }, 'the I/O threads')
    }
  },
)

/** Field 41 of `/proc/PID/task/TID/stat`. */
function policyOf(pid: number): number {
  const tasks = `/proc/${pid}/task`
  const stats = readdirSync(tasks).map((tid) => readFileSync(`${tasks}/${tid}/stat`, 'utf8'))
  const stat = stats.find((text) => text.includes('(monoceros-io)')) ?? ''
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38])
}
