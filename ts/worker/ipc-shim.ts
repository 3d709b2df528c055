/** What node:cluster and pm2 give to a program by its parent, for programs that use it without looking. */

/** A program written for pm2 says `process.send('ready')`; here nobody needs to hear it. */
export function installIpcShim(): void {
  const send = (...args: unknown[]): boolean => {
    const callback = args.at(-1)
    if (typeof callback === 'function') queueMicrotask(() => callback(null))
    return true
  }
  Object.assign(process, { send, disconnect: () => {}, connected: false })
}
