/**
 * What a process with id 1 owes its container: the processes that others left behind become its children, and stay as
 * zombies until it waits for them.
 */

/** What the addon offers for it. */
interface ZombieReaper {
  listZombies(): number[]
  reapZombie(pid: number): boolean
}

/** A look at the orphans, to be called once a tick. Without the addon nobody can reap, and nothing is done. */
export function createOrphanReaper(pid: number, reaper: ZombieReaper | null): () => void {
  if (pid !== 1 || reaper === null) return () => {}
  let before = new Set<number>()
  return () => {
    const now = reaper.listZombies()
    // Node waits for its own children as soon as they end: who is still there at the second look is nobody's.
    before = new Set(now.filter((zombie) => !(before.has(zombie) && reaper.reapZombie(zombie))))
  }
}
