/**
 * Reaping for an arbiter that is process 1 of a container. Orphaned processes become its children
 * and stay zombies until it waits for them.
 */

/** Functions of the addon that find and reap zombies. */
interface ZombieReaper {
  listZombies(): number[]
  reapZombie(pid: number): boolean
}

/**
 * Returns a function that reaps orphaned zombies, to be called once a second. It does nothing
 * without the addon or in a process other than 1.
 */
export function createOrphanReaper(pid: number, reaper: ZombieReaper | null): () => void {
  if (pid !== 1 || reaper === null) return () => {}
  let before = new Set<number>()
  return () => {
    const now = reaper.listZombies()
    // Node reaps its own children at once. A zombie that is there in two consecutive calls is
    // therefore an orphan.
    before = new Set(now.filter((zombie) => !(before.has(zombie) && reaper.reapZombie(zombie))))
  }
}
