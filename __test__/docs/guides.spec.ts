// The guides docs/from-*.md: their files, and their commands in the order of the page.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { MAIN } from '../control/ctl.ts'
import { get, type Program, startProgram } from '../process/program.ts'
import { temporaryDirectory } from '../temporary.ts'
import { sectionsOf } from './sections.ts'

/** What the server of each guide answers. */
const GUIDES = {
  'from-pm2.md': 'hello from live\n',
  'from-gunicorn.md': 'hello from live\n',
  'from-cluster.md': 'hello\n',
}

for (const [page, body] of Object.entries(GUIDES)) {
  test.serial(`the files and commands of ${page} work`, async (t) => {
    const directory = temporaryDirectory('guide')
    const runtime = temporaryDirectory('runtime')
    // `ctl` finds the server of the guide and no other.
    const own = { XDG_RUNTIME_DIR: runtime, TMPDIR: runtime }
    for (const [name, text] of filesOf(page)) writeFileSync(join(directory, name), text)
    const run = (words: readonly string[]) =>
      execFileSync(process.execPath, [MAIN, ...words], {
        cwd: directory,
        env: { ...process.env, NODE_OPTIONS: '', ...own },
        stdio: 'pipe',
      })

    const commands = sectionsOf(page)
      .flatMap((section) => section.commands)
      .filter((line) => line.startsWith('monoceros'))
    let server: Program | undefined
    for (const command of commands) {
      const words = command.split(' ').slice(1)
      if (/ (?:migrate|ctl|--check-config)\b/.test(command)) {
        t.notThrows(() => run(words), command)
        continue
      }
      server?.signal('SIGTERM')
      await server?.exited
      server = startProgram(t, {
        command: ['env', '--chdir', directory],
        args: [...words.slice(0, words[0]?.startsWith('-') ? 0 : 1), '-b', '127.0.0.1:0'],
        env: own,
      })
      const [, port] = await server.line(/Listening at: http:\/\/127\.0\.0\.1:(\d+)/)
      t.is((await get({ port: Number(port) })).body, body)
    }
    t.truthy(server)
  })
}

/** The code blocks of a page, each with the last name in backquotes before it. */
function filesOf(page: string): [name: string, text: string][] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
  return [...text.matchAll(/`([\w.]+)`:\n\n```\w+\n([\s\S]*?)```/g)].map(
    ([, name = '', code = '']) => [name, code],
  )
}
