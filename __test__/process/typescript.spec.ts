// Applications and what settings name, in TypeScript as compilers take it, on whatever Node runs
// the tests.

import test from 'ava'

import { startProgram } from './program.ts'

const MODULE = '{ "type": "module" }'
const COMMON = '{ "type": "commonjs" }'

const FILES: Record<string, string> = {
  'plain.ts': `export const TEXT: string = 'served'`,
  'kinds.ts': `export enum Kind { One = 'served' }`,
  'view.tsx': `export const view = (text: string) => text`,
  'types.ts': `export type Text = string\nexport const TEXT: Text = 'served'`,
  'jsx-runtime.ts': `export const jsx = (_: unknown, props: { children: string }) =>
    props.children`,
}

const answer = (text: string) =>
  `export default (req: unknown, res: { end(text: string): void }): void => res.end(${text})`

/** Title, file, type of the package, source. */
const APPLICATIONS: [string, string, string, string][] = [
  ['plain types', 'app.ts', MODULE, answer(`'served' as string`)],
  [
    'an import with the extension of the output',
    'app.ts',
    MODULE,
    `import { TEXT } from './plain.js'\n${answer('TEXT')}`,
  ],
  [
    'an import without an extension',
    'app.ts',
    MODULE,
    `import { TEXT } from './plain'\n${answer('TEXT')}`,
  ],
  [
    'the same in a package without a type',
    'app.ts',
    '{}',
    `import { TEXT } from './plain'\n${answer('TEXT')}`,
  ],
  [
    'an enum of another file',
    'app.ts',
    MODULE,
    `import { Kind } from './kinds.ts'\n${answer('Kind.One')}`,
  ],
  [
    'an enum that CommonJS requires',
    'app.cts',
    MODULE,
    `const { Kind } = require('./kinds.ts')
module.exports = (req: unknown, res: { end(text: string): void }) => res.end(Kind.One)`,
  ],
  ['a .tsx', 'app.tsx', MODULE, answer(`'served'`)],
  [
    'elements in a .tsx',
    'app.tsx',
    MODULE,
    `/** @jsxImportSource . */\n${answer('<p>served</p>')}`,
  ],
  [
    'an import of a .tsx',
    'app.ts',
    MODULE,
    `import { view } from './view.tsx'\n${answer(`view('served')`)}`,
  ],
  [
    'a type that is imported like a value',
    'app.ts',
    MODULE,
    `import { TEXT, Text } from './types.ts'\nconst text: Text = TEXT\n${answer('text')}`,
  ],
  [
    'a decorator',
    'app.ts',
    MODULE,
    `const mark = (target: unknown, _context: unknown) => target
@mark class Answer { static text = 'served' }
${answer('Answer.text')}`,
  ],
  [
    'import and export in a package of CommonJS',
    'app.ts',
    COMMON,
    `import { TEXT } from './plain'\n${answer('TEXT')}`,
  ],
]

for (const [title, file, manifest, source] of APPLICATIONS) {
  test.serial(`an application with ${title} is served`, async (t) => {
    const program = startProgram(t, {
      files: { ...FILES, 'package.json': manifest, [file]: source },
      args: [file, '-b', '127.0.0.1:0'],
    })
    await program.ready(0)
    t.is((await program.get()).body, 'served')
  })
}

test.serial('an application that throws while it runs has run once', async (t) => {
  const program = startProgram(t, {
    files: {
      'package.json': MODULE,
      'app.ts': `const text: string = '{'\nprocess.stderr.write('it runs\\n')\nJSON.parse(text)`,
    },
    args: ['app.ts', '-b', '127.0.0.1:0'],
  })
  t.is(await program.exited, 3)
  t.is(program.log.match(/^it runs$/gm)?.length, 1, program.log)
})

test.serial('logger, adapter and hook are taken in TypeScript as well', async (t) => {
  const program = startProgram(t, {
    files: {
      ...FILES,
      'package.json': MODULE,
      'app.mjs': `export default { text: 'served' }`,
      'logger.ts': `import { TEXT } from './plain'
export default class {
  log({ message }: { message: string }): void {
    process.stderr.write(\`[\${TEXT}] \${message}\\n\`)
  }
}`,
      'adapter.ts': `import { view } from './view.tsx'
export default ({ text }: { text: string }) => () => new Response(view(text))`,
      'hooks.ts': `import { TEXT } from './plain.js'
interface Server { log: { info(text: string): void } }
export const ready = (server: Server): void => server.log.info('hook ' + TEXT)`,
    },
    args: [
      ...['app.mjs', '-b', '127.0.0.1:0', '--logger-class', './logger.ts'],
      ...['--worker-class', './adapter.ts'],
    ],
    env: { MONOCEROS_WHEN_READY: './hooks.ts:ready' },
  })
  await program.ready(0)
  t.is((await program.get()).body, 'served')
  t.regex(program.log, /^\[served\] hook served$/m)
})

/** With a compiler that the operator registers, configured for decorators by tsconfig.json. */
for (const [kind, manifest] of Object.entries({
  'ES modules': MODULE,
  CommonJS: COMMON,
  none: '{}',
})) {
  test.serial(`a loader that is registered compiles the application: ${kind}`, async (t) => {
    const program = startProgram(t, {
      files: {
        ...FILES,
        'package.json': manifest,
        'tsconfig.json': `{
          "compilerOptions": { "experimentalDecorators": true, "paths": { "#/*": ["./*"] } }
        }`,
        'app.ts': `import { TEXT } from '#/plain'
function named(_target: unknown, _name: string, found: PropertyDescriptor) {
  const value = found.value
  found.value = () => value() + ' by a loader'
}
class Answer { @named static text() { return TEXT } }
${answer('Answer.text()')}`,
      },
      env: { NODE_OPTIONS: `--import=${import.meta.resolve('tsx')}` },
      args: ['app.ts', '-b', '127.0.0.1:0'],
    })
    await program.ready(0)
    t.is((await program.get()).body, 'served by a loader')
  })
}
