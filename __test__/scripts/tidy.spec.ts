// The invariants of ARCHITECTURE.md, read from the sources; and each check on sources that break it.

import test from 'ava'
import { ROOT } from '../../scripts/command.ts'
import { faultOf } from '../../scripts/tidy/commits.ts'
import { readSources, source } from '../../scripts/tidy/sources.ts'
import { CHECKS } from '../../scripts/tidy.ts'

const sources = readSources(ROOT)

for (const { sentence, find } of CHECKS) {
  test(sentence, (t) => {
    t.deepEqual(find(sources), [])
  })
}

/** Sources of which each breaks the check whose sentence begins so. */
const OFFENCES: ReadonlyArray<[sentence: string, path: string, text: string]> = [
  ['crates/engine does not name napi', 'crates/engine/src/lib.rs', '//! x\nuse napi::Env;\n'],
  ['crates/engine does not name napi', 'crates/node/lib.rs', '//! x\nuse hyper::Request;\n'],
  ['only ts/native/index.ts', 'ts/cli/main.ts', "// x\nimport a from '../native/binding.cjs'\n"],
  ['ts/arbiter imports neither', 'ts/arbiter/a.ts', "// x\nimport { a } from '../http/a.ts'\n"],
  ['ts/arbiter imports neither', 'ts/worker/a.ts', "// x\nimport { a } from '../arbiter/a.ts'\n"],
  ['only ts/process/system.ts', 'ts/worker/a.ts', "// x\nprocess.on('exit', done)\n"],
  ['only ts/process/system.ts', 'ts/worker/a.ts', '// x\nconst now = Date.now()\n'],
  ['errors are made in', 'ts/worker/a.ts', "// x\nthrow new TypeError('no')\n"],
  ['no file is called util', 'ts/http/string-utils.ts', '// x\n'],
  ['no file is called util', 'crates/engine/src/common.rs', '//! x\n'],
  ['no source exceeds', 'ts/worker/a.ts', `// x\n${'\n'.repeat(400)}`],
  ['every source outside the tests', 'ts/worker/a.ts', 'export const a = 1\n'],
  ['every source outside the tests', 'crates/engine/src/a.rs', '// x\nuse std::io;\n'],
  ['an empty catch', 'ts/worker/a.ts', `// x\ntry { a() } catch {${' '}}\n`],
  ['a suppressed lint', 'crates/engine/src/a.rs', '//! x\n#[allow(dead_code)]\nfn a() {}\n'],
  ['unsafe is only', 'crates/engine/src/a.rs', '//! x\nfn a() {\n    unsafe { b() }\n}\n'],
  ['a relative link', 'docs/a.md', '[gone](./no-such-page.md)\n'],
  ['a relative link', 'ARCHITECTURE.md', 'see `ts/no-such-file.ts`\n'],
  ['the dependencies on platform', 'package.json', '{ "optionalDependencies": {} }\n'],
  ['a wing of the engine', 'crates/engine/src/buffers/a.rs', '//! x\nuse crate::server::A;\n'],
  ['a wing of the engine', 'crates/engine/src/guard/a.rs', '//! x\nfn a() { crate::http2::b() }\n'],
  ['sources and pages', 'docs/a.md', 'The request that is in hand.\n'],
  ['sources and pages', 'ts/worker/a.ts', '// Whoever has this.\n'],
  ['sources and pages', 'crates/engine/src/a.rs', '//! What runs behind the turn.\n'],
  ['a line has at most', 'ts/worker/a.ts', `// ${'x'.repeat(98)}\n`],
  ['a line has at most', 'docs/a.md', `${'x '.repeat(51)}\n`],
  ['ts/ has at most', 'ts/worker/a.ts', `// x\n${'a(b as C)\n'.repeat(91)}`],
]

for (const [start, path, text] of OFFENCES) {
  test(`${path} with ${JSON.stringify(text.slice(0, 40))} is found by: ${start}`, (t) => {
    const check = CHECKS.find(({ sentence }) => sentence.startsWith(start))
    t.truthy(check?.find([source(path, text)]).length)
  })
}

/** What the check whose sentence begins so finds in these files of the engine. */
function foundInEngine(start: string, files: Record<string, string>): string[] | undefined {
  const sources = Object.entries(files).map(([path, text]) =>
    source(`crates/engine/src/${path}`, text),
  )
  return CHECKS.find(({ sentence }) => sentence.startsWith(start))?.find(sources)
}

test('a circle of nine modules is found, also over a parent, and one of eight is not', (t) => {
  const circleOf = (size: number) =>
    Object.fromEntries(
      Array.from({ length: size }, (_, index) => [
        index === 0 ? 'log/mod.rs' : `log/m${index}.rs`,
        index === size - 1 ? 'use super::A;' : `use crate::log::{m${index + 1}::{A, B}};`,
      ]),
    )
  t.deepEqual(foundInEngine('at most 8 modules', circleOf(8)), [])
  t.regex(foundInEngine('at most 8 modules', circleOf(9))?.[0] ?? '', /^9 modules: log, log::m1/)
})

test('a struct with 21 fields is found, and one with 20 is not', (t) => {
  const fields = (count: number) =>
    Array.from({ length: count }, (_, index) => `    pub(crate) f${index}: u8,\n`).join('')
  const find = (count: number) =>
    foundInEngine('a struct of the engine', { 'a.rs': `struct A {\n${fields(count)}}\n` })
  t.deepEqual(find(20), [])
  t.deepEqual(find(21), ['crates/engine/src/a.rs: A has 21 fields'])
})

test('methods of a type in four files are found, and those in three are not', (t) => {
  const files = {
    'a.rs': 'impl A {}',
    'b.rs': 'impl Drop for A {}',
    'c.rs': "impl<'a> A<'a> {}\n#[cfg(test)]\nmod tests { impl A {} }",
    'a/tests.rs': 'impl A {}',
  }
  t.deepEqual(foundInEngine('the methods of a type', files), [])
  t.regex(foundInEngine('the methods', { ...files, 'd.rs': 'impl A {}' })?.[0] ?? '', /^A: /)
})

test('a proxy that the server is behind is no fault', (t) => {
  const check = CHECKS.find(({ sentence }) => sentence.startsWith('sources and pages'))
  t.deepEqual(check?.find([source('docs/a.md', 'Run it behind a load balancer.\n')]), [])
})

test('a commit subject is imperative, short, and begins with its area', (t) => {
  for (const subject of [
    'arbiter: keep old workers when a reload fails',
    'engine, http: close the connection after a refusal',
  ]) {
    t.deepEqual(faultOf(subject), [], subject)
  }
  for (const subject of [
    'keep old workers',
    'arbiter: old workers are kept',
    'arbiter: the old workers stay',
    'arbiter: keeps old workers',
    'arbiter: Keep old workers',
    'arbiter: keep what is in hand',
    `arbiter: keep ${'x'.repeat(60)}`,
  ]) {
    t.is(faultOf(subject).length, 1, subject)
  }
})

test('a median over the budget is found where no single file is', (t) => {
  const check = CHECKS.find(({ sentence }) => sentence.startsWith('no source exceeds'))
  const long = source('ts/worker/a.ts', `// x\n${'\n'.repeat(121)}`)
  t.deepEqual(check?.find([long]), ['ts/: median of 122 lines'])
})

test('a setting named outside the table is found, by its flag and by its variable', (t) => {
  const check = CHECKS.find(({ sentence }) => sentence.startsWith('no flag'))
  const table = source(
    'ts/settings/sections/a.ts',
    '// x\nconst T = {\n  max_requests: {\n  },\n}\n',
  )
  const user = source('ts/cli/a.ts', "// x\na('--max-requests')\nb(env.MONOCEROS_MAX_REQUESTS)\n")
  t.is(check?.find([table, user]).length, 2)
})

test('a dependency without its reason is found, and a reason without a dependency', (t) => {
  const check = CHECKS.find(({ sentence }) => sentence.startsWith('docs/design/dependencies'))
  const npm = source('package.json', '{ "dependencies": { "left-pad": "1" } }\n')
  const cargo = source(
    'crates/engine/Cargo.toml',
    '[package]\nname = "x"\n\n[dependencies]\nhttp = "1"\n',
  )
  const page = source('docs/design/dependencies.md', '- `http`, `rand` (engine): types.\n')
  t.deepEqual(check?.find([npm, cargo, page]), ['left-pad has no row', 'rand is no dependency'])
})

test('versions that differ are found', (t) => {
  const check = CHECKS.find(({ sentence }) => sentence.startsWith('the package, the crates'))
  const root = source('package.json', '{\n  "version": "1.0.0"\n}\n')
  const platform = source('npm/linux-x64-gnu/package.json', '{\n  "version": "1.0.1"\n}\n')
  t.deepEqual(check?.find([root, platform]), [
    'npm/linux-x64-gnu/package.json: 1.0.1, package.json: 1.0.0',
  ])
})

test('a comment does not count as code', (t) => {
  const { code } = source('ts/a.ts', '// new Error\n/* process.on\n */ a() // Date.now\n')
  t.notRegex(code, /Error|process|Date/)
  t.is(code.split('\n').length, 4)
})
