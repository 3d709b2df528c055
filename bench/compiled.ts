// Programs of the bench that need a build: three in C, and the servers, whose types are stripped so
// that no loader runs in the measured process.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { ROOT, run } from '../scripts/command.ts'

const FOLDER = join(ROOT, 'target', 'bench')
const APPS = join(ROOT, 'bench', 'apps')

/** Where a compiled program lies: `floor`, `load`, `sockets`, `engine`, `hyper`, or `serve.js`. */
export function compiled(name: string): string {
  return join(FOLDER, name)
}

/** Compiles all of them; it takes a second. */
export async function compileAll(): Promise<void> {
  mkdirSync(FOLDER, { recursive: true })
  for (const name of ['floor', 'load', 'sockets']) {
    const source = join(ROOT, 'bench', 'native', `${name}.c`)
    const { status } = await run('cc', ['-O2', '-Wall', '-o', compiled(name), source])
    if (status !== 0) throw new Error(`cc could not compile ${source}`)
  }
  for (const file of readdirSync(APPS).filter((name) => name.endsWith('.ts'))) {
    writeFileSync(compiled(file.replace(/\.ts$/, '.js')), withoutTypes(join(APPS, file)))
  }
  writeFileSync(compiled('package.json'), '{ "type": "module" }\n')
}

/** Compiles the servers without Node: `engine`, and `hyper` to compare it with. */
export async function compileCrate(): Promise<void> {
  const manifest = join(ROOT, 'bench', 'engine', 'Cargo.toml')
  const target = join(ROOT, 'target', 'bench-engine')
  const where = ['--manifest-path', manifest, '--target-dir', target]
  const { status } = await run('cargo', ['build', '--release', ...where])
  if (status !== 0) throw new Error(`cargo could not build ${manifest}`)
  for (const name of ['engine', 'hyper']) {
    copyFileSync(join(target, 'release', name), compiled(name))
  }
}

// An application of the bench imports our modules as built, not as written.
function withoutTypes(path: string): string {
  const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
  })
  return outputText.replaceAll('../../ts/', '../../dist/parts/')
}
