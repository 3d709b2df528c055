/**
 * Makes the application's file the main module, as if Node.js had started it: `require.main`,
 * `import.meta.main`, `process.argv`.
 */

import { readFileSync, realpathSync } from 'node:fs'
import module from 'node:module'
import { pathToFileURL } from 'node:url'

/** `module.registerHooks` is missing in Node 20 and in its types. */
type RegisterLoadHook = (hooks: { load: LoadHook }) => { deregister(): void }

type LoadHook = (
  url: string,
  context: unknown,
  next: (url: string, context: unknown) => LoadedSource,
) => LoadedSource

interface LoadedSource {
  readonly format?: string | null
  readonly source?: string | NodeJS.TypedArray | ArrayBuffer | null
}

const DECODER = new TextDecoder('utf-8', { ignoreBOM: true })

/** Makes `file` the main module with these arguments; call before it is loaded. */
export function setMainModule(file: string, args: readonly string[]): void {
  process.argv.splice(1, Number.POSITIVE_INFINITY, file, ...args)
  const path = realpathSync(file)
  defineRequireMain(path)
  // A file that does not use `import.meta.main` is loaded unchanged.
  if ('main' in import.meta && readsImportMetaMain(readFileSync(path, 'utf8'))) {
    defineImportMetaMain(pathToFileURL(path).href)
  }
}

// Also finds `(import.meta as any).main` and `const { main } = import.meta`.
function readsImportMetaMain(source: string): boolean {
  return source.includes('import.meta') && /\bmain\b/.test(source)
}

// Node.js gives `process.mainModule` to each CommonJS module as its `require.main`. The program's
// own module is in the cache by then. An ES module never is: there `require.main` is undefined, as
// on Node.js.
function defineRequireMain(path: string): void {
  const { cache } = module.createRequire(import.meta.url)
  Object.defineProperty(process, 'mainModule', {
    ...{ configurable: true, enumerable: true },
    get: () => cache[path],
    set: (value: unknown) => {
      Object.defineProperty(process, 'mainModule', { value, writable: true })
    },
  })
}

// Node.js sets `import.meta.main` to true only for the module that it starts with. The assignment
// is added to the first line, so that line numbers stay the same.
function defineImportMetaMain(main: string): void {
  const registerHooks: RegisterLoadHook | undefined = Reflect.get(module, 'registerHooks')
  const hooks = registerHooks?.({
    load(url, context, next) {
      const loaded = next(url, context)
      if (url !== main) return loaded
      hooks?.deregister()
      if (!loaded.format?.startsWith('module') || loaded.source == null) return loaded
      const { source } = loaded
      const text = typeof source === 'string' ? source : DECODER.decode(source)
      return { ...loaded, source: text.replace(/^(#!.*\n)?/, '$1import.meta.main = true; ') }
    },
  })
}
