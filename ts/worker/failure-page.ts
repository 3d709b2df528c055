/**
 * The page that is served in the place of an application that does not load (setting `reload`). It
 * shows the error, with sources and paths, so it never exists without `reload`.
 */

import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { dirname, resolve } from 'node:path'

import type { Target } from '../engine/engine.ts'
import type { MonocerosError } from '../errors.ts'

/**
 * Creates a server that responds to every request with 500 and the text: HTML for browsers, else
 * plain text.
 */
export function createFailureServer(text: string): Target {
  const server = http.createServer((req, res) => {
    const asPage = req.headers.accept?.includes('text/html') === true
    res.writeHead(500, {
      'content-type': `text/${asPage ? 'html' : 'plain'}; charset=utf-8`,
      'cache-control': 'no-store',
    })
    res.end(asPage ? renderPage(text) : `${text}\n`)
  })
  return { style: 'node', server }
}

/**
 * Describes why the application does not load. For a syntax error in an ES module the place is
 * added: Node.js prints it only when the error ends the process.
 */
export async function explainFailure(
  { message, cause }: MonocerosError,
  files: readonly string[],
): Promise<string> {
  const modules = findImportedModules(files.filter(isJavaScript))
  if (!(cause instanceof SyntaxError) || modules.some((file) => message.includes(file)))
    return message
  const flags = ['--experimental-vm-modules', '--no-warnings', '--input-type=module']
  const broken = await runNode([...flags, '--eval', PARSE_SCRIPT, ...modules])
  if (broken === '') return message
  // The first paragraph has file and line, the source line and a mark below it. The rest repeats
  // `message`.
  const [place] = (await runNode(['--check', broken])).split('\n\n')
  return `${message}\n\n${place}`
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

function renderPage(text: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>The application does not load</title>
<style>body { font: 16px sans-serif; margin: 2em } pre { white-space: pre-wrap }</style>
<h1>The application does not load</h1>
<pre>${escapeHtml(text)}</pre>
<p>It is loaded again as soon as a file of it changes.</p>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
