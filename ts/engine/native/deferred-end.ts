/**
 * What ends an answer whose request still has a body to come that nobody reads: the engine throws such a body away. As on
 * node it is looked for behind the turn of the answer whether somebody has begun to.
 */
export class DeferredEnd {
  #tell: (() => void) | undefined

  constructor(tell: () => void) {
    this.#tell = tell
    waiting.add(this)
    process.nextTick(conclude, this)
  }

  get isWaiting(): boolean {
    return this.#tell !== undefined
  }

  /** Also sooner: what the program does to the connection comes behind the answer. */
  tell(): void {
    const tell = this.#tell
    this.drop()
    tell?.()
  }

  /** The answer has been given up. */
  drop(): void {
    this.#tell = undefined
    waiting.delete(this)
  }
}

const waiting = new Set<DeferredEnd>()

function conclude(conclusion: DeferredEnd): void {
  conclusion.tell()
}

/** The process ends: nothing comes behind this turn. */
export function endAllDeferred(): void {
  for (const conclusion of waiting) conclusion.tell()
}
