/**
 * The only import of the addon. `native` is null where no binary loads, and `nativeFailure` has
 * the reason.
 */
import { createRequire } from 'node:module'
import type * as binding from './binding.d.cts'

export type Native = typeof binding
export type NativeEngine = binding.Engine
export type NativeScoreboard = binding.Scoreboard
export type NativeEngineOptions = binding.EngineOptions
export type NativeTlsMaterial = binding.TlsMaterial
export type NativeNodeLimits = binding.NodeLimits

const require = createRequire(import.meta.url)
const loaded = load()

/** The addon, or null. */
export const native: Native | null = loaded.native

/** Why there is no addon. */
export const nativeFailure: string | undefined = loaded.failure

function load(): { native: Native | null; failure: string | undefined } {
  // The sources run beside a build. In the package this module may be part of any file of a folder
  // of dist/.
  const fromSources = import.meta.url.endsWith('.ts')
  const path = fromSources ? '../../dist/native/binding.cjs' : '../native/binding.cjs'
  try {
    const addon = require(path) as Native
    const { version } = require('../../package.json') as { version: string }
    if (addon.version() === version) return { native: addon, failure: undefined }
    return {
      native: null,
      failure:
        `the binary has version ${addon.version()}, this package ${version}; ` +
        'install both again',
    }
  } catch (thrown) {
    return { native: null, failure: reasonOf(thrown) }
  }
}

/**
 * The first line of the innermost cause: the loader's own message lists every platform it tried.
 */
function reasonOf(thrown: unknown): string {
  let error = thrown
  while (error instanceof Error && error.cause instanceof Error) error = error.cause
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0] ?? text
}
