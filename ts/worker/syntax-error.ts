/**
 * Finds the place of a syntax error in an ES module. Node.js prints it only when the error ends the
 * process; the error itself does not have it.
 */

import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import { describeThrown } from '../log/thrown-value.ts'

/**
 * Describes a thrown value as Node.js prints it. For a syntax error in an ES module, file and line
 * come first. The module is one of `files` or is imported by one of them.
 */
export async function describeWithPlace(
  thrown: unknown,
  files: readonly string[],
): Promise<string> {
  const text = describeThrown(thrown)
  const place = thrown instanceof SyntaxError ? await findPlace(text, files) : ''
  return place === '' ? text : `${place}\n\n${text}`
}

/** Returns file and line, the source line and a mark below it; empty if the text names a module. */
async function findPlace(text: string, files: readonly string[]): Promise<string> {
  const modules = findImportedModules(files).filter(isJavaScript)
  if (modules.some((file) => text.includes(file))) return ''
  const flags = ['--experimental-vm-modules', '--no-warnings', '--input-type=module']
  const broken = await runNode([...flags, '--eval', PARSE_SCRIPT, ...modules])
  if (broken === '') return ''
  // The rest of the output repeats the error.
  const [place = ''] = (await runNode(['--check', broken])).split('\n\n')
  return place
}

function runNode(args: readonly string[]): Promise<string> {
  return new Promise((done) => {
    const options = { timeout: PARSE_TIMEOUT_MS, env: { ...process.env, NODE_OPTIONS: '' } }
    execFile(process.execPath, args, options, (_failed, out, errors) =>
      done(`${out}${errors}`.trim()),
    )
  })
}

const PARSE_TIMEOUT_MS = 5_000
const MAX_MODULES = 500

// Prints the first file that does not parse. Runs in a process of its own because it needs a flag
// of Node.js.
const PARSE_SCRIPT = `
import { readFileSync } from 'node:fs'
import vm from 'node:vm'
for (const file of process.argv.slice(1)) {
  try {
    new vm.SourceTextModule(readFileSync(file, 'utf8'))
  } catch ({ name }) {
    if (name !== 'SyntaxError') continue
    console.log(file)
    break
  }
}`

function isJavaScript(file: string): boolean {
  return /\.m?js$/.test(file)
}

// Node 20 has no hook that reports ES modules (`registerHooks`), so the import statements in the
// sources are searched.
function findImportedModules(files: readonly string[]): string[] {
  const found = new Set(files)
  for (const file of found) {
    if (found.size > MAX_MODULES || !existsSync(file)) continue
    const text = readFileSync(file, 'utf8')
    for (const [, , name = ''] of text.matchAll(
      /\b(import|from)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g,
    )) {
      const path = resolve(dirname(file), name)
      if (isJavaScript(path) && existsSync(path)) found.add(path)
    }
  }
  return [...found]
}
