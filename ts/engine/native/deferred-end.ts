/**
 * The end of a response whose request body is still arriving and has no reader. The engine discards
 * such a body. As in Node, the application has until the end of the current turn to start reading,
 * so the end is sent after that.
 */
export class DeferredEnd {
  #sendEnd: (() => void) | undefined

  constructor(sendEnd: () => void) {
    this.#sendEnd = sendEnd
    pending.add(this)
    process.nextTick(sendDeferred, this)
  }

  /** Whether the end has not been sent. */
  get isPending(): boolean {
    return this.#sendEnd !== undefined
  }

  /**
   * Sends the end; before the turn is over, if the application acts on the connection, since that
   * follows the response.
   */
  send(): void {
    const sendEnd = this.#sendEnd
    this.cancel()
    sendEnd?.()
  }

  /** Drops the end: the response has been aborted. */
  cancel(): void {
    this.#sendEnd = undefined
    pending.delete(this)
  }
}

const pending = new Set<DeferredEnd>()

function sendDeferred(end: DeferredEnd): void {
  end.send()
}

/** Sends every deferred end, because the process exits and the turn never ends. */
export function sendAllDeferred(): void {
  for (const end of pending) end.send()
}
