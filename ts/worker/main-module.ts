/** What tells a program that it is the one that was started: `require.main`, `import.meta.main`, `process.argv`. */

import { readFileSync, realpathSync } from 'node:fs'
import module from 'node:module'
import { pathToFileURL } from 'node:url'

/** Missing in the types of the oldest Node. */
interface ModuleWithLoadHooks {
  registerHooks?(hooks: { load: LoadHook }): { deregister(): void }
}

type LoadHook = (
  url: string,
  context: unknown,
  next: (url: string, context: unknown) => LoadedSource,
) => LoadedSource

interface LoadedSource {
  readonly format?: string | null
  readonly source?: string | NodeJS.TypedArray | ArrayBuffer | null
}

/** To be called before the file is loaded, by whatever loads it. */
export function setMainModule(file: string): void {
  process.argv[1] = file
  const path = realpathSync(file)
  defineRequireMain(path)
  // Whoever does not ask is loaded as ever.
  if ('main' in import.meta && readsImportMetaMain(readFileSync(path, 'utf8'))) {
    defineImportMetaMain(pathToFileURL(path).href)
  }
}

// Perhaps as `(import.meta as any).main`, or `const { main } = import.meta`.
function readsImportMetaMain(source: string): boolean {
  return source.includes('import.meta') && /\bmain\b/.test(source)
}

// Node gives `process.mainModule` to each CommonJS module as its `require.main`. When the program's own gets it, that is
// in the cache already. An ES module never is: there `require.main` is undefined, as on node.
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

// Node says it of the module only that it starts with. On the first line it moves none of the others.
function defineImportMetaMain(main: string): void {
  const hooks = (module as ModuleWithLoadHooks).registerHooks?.({
    load(url, context, next) {
      const loaded = next(url, context)
      if (url !== main) return loaded
      hooks?.deregister()
      if (!loaded.format?.startsWith('module') || loaded.source == null) return loaded
      const text = Buffer.from(loaded.source as Uint8Array).toString()
      return { ...loaded, source: text.replace(/^(#!.*\n)?/, '$1import.meta.main = true; ') }
    },
  })
}
