/**
 * `node --import monoceros/register server.js`, or `--require`: any program's `http.createServer`
 * on the native engine, in process, on the address it asks for, without an arbiter. Limits,
 * defaults and errors stay node's.
 */
import { isMainThread } from 'node:worker_threads'
import { installMethods } from '../http/node/install.ts'
import { native, nativeFailure } from '../native/index.ts'
import { listenOnEngine } from './listen.ts'

/** Two copies of the package in one program are one registration. */
const kRegistered = Symbol.for('monoceros.register')

const here = globalThis as { [kRegistered]?: boolean }
if (!here[kRegistered]) {
  Object.defineProperty(here, kRegistered, { value: true })
  if (native !== null) {
    // Before the program loads, so that code that patches Node's methods (tracers) wraps ours.
    installMethods()
    listenOnEngine()
  } else if (isMainThread) {
    process.stderr.write(
      `monoceros/register: the native engine does not load, node:http serves: ${nativeFailure}\n`,
    )
  }
}
