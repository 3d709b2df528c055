import type { ExecutionContext } from 'ava'
import { childrenOf, isAlive, type Program, until } from './program.ts'

/** Starts a new arbiter and waits until it serves; it is ended after the test. */
export async function upgrade(t: ExecutionContext, program: Program): Promise<number> {
  program.signal('SIGUSR2')
  const [, pid] = await program.line(/Starting a new arbiter \(pid: (\d+)\)/)
  const newer = Number(pid)
  t.teardown(async () => {
    if (!isAlive(newer)) return
    const family = [...childrenOf(newer), newer]
    for (const member of family) if (isAlive(member)) process.kill(member, 'SIGKILL')
    await until(() => family.every((member) => !isAlive(member)), 'the end of the new arbiter')
  })
  await program.line(/The new arbiter \(pid: \d+\) is serving beside this one/)
  return newer
}
