/**
 * What node:cluster and pm2 give to a program by its parent, for programs that use it without
 * looking.
 */

/**
 * Adds `process.send` and `process.disconnect`, which do nothing. A program written for pm2 calls
 * `process.send('ready')` without a check; Monoceros notices `listen()` instead.
 */
export function installIpcShim(): void {
  const send = (...args: unknown[]): boolean => {
    const callback = args.at(-1)
    if (typeof callback === 'function') queueMicrotask(() => callback(null))
    return true
  }
  Object.assign(process, { send, disconnect: () => {}, connected: false })
}
