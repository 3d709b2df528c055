// How the coverage counts the calls of functions in what V8 writes.
import { pathToFileURL } from 'node:url'
import test from 'ava'

import { ROOT } from '../../scripts/command.ts'
import { addCalls, type Calls, type Module, parseModule } from '../../scripts/coverage.ts'

const BUNDLE = '// ts/a.ts\nfunction first() {}\n// ts/folder/b.ts\nfunction second() {}\n'

/** The functions that one process had, each with its name, its offset and its calls. */
function covered(url: string, ...functions: [name: string, startOffset: number, count: number][]) {
  const shown = functions.map(([functionName, startOffset, count]) => {
    return { functionName, ranges: [{ startOffset, count }] }
  })
  return { result: [{ url, functions: shown }] }
}

const asObject = (calls: Calls) =>
  Object.fromEntries([...calls].map(([source, counts]) => [source, Object.fromEntries(counts)]))

test('a bundle has its source files, a source file only itself', (t) => {
  t.deepEqual(parseModule('ts/a.ts', BUNDLE), [{ source: 'ts/a.ts', offset: 0 }])
  t.deepEqual(parseModule('dist/cli/main.js', BUNDLE), [
    { source: 'ts/a.ts', offset: 0 },
    { source: 'ts/folder/b.ts', offset: BUNDLE.indexOf('// ts/folder') },
  ])
})

test('the calls of all processes are added up by source file and function', (t) => {
  const calls: Calls = new Map()
  const modules: Record<string, Module> = {
    bundle: parseModule('dist/cli/main.js', BUNDLE),
    source: parseModule('ts/a.ts', ''),
  }
  const read = (url: string) => modules[url]
  const second = BUNDLE.indexOf('function second')
  addCalls(calls, covered('bundle', ['first', 11, 0], ['second', second, 2], ['', 0, 1]), read)
  addCalls(calls, covered('source', ['first', 7, 3]), read)
  addCalls(calls, covered(pathToFileURL(`${ROOT}/other.ts`).href, ['third', 0, 1]), read)
  t.deepEqual(asObject(calls), { 'ts/a.ts': { first: 3 }, 'ts/folder/b.ts': { second: 2 } })
})
