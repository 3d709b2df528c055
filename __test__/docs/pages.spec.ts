// The guides of docs/: each command for Monoceros is valid, each flag and log line that they name
// exists, and the index lists every page.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'

import { native } from '../../ts/native/index.ts'
import { shellWords } from '../../ts/settings/shell-words.ts'
import { MAIN } from '../control/ctl.ts'
import { appSource } from '../process/program.ts'
import { temporaryDirectory } from '../temporary.ts'

const execute = promisify(execFile)
const DOCS = new URL('../../docs/', import.meta.url)

const GUIDES = [
  ...['docker', 'hardening', 'install', 'kubernetes', 'load-balancers', 'paas', 'shared-state'],
  ...['support', 'troubleshooting', 'tuning'],
]

/** Flags of npm, Docker and V8 that the guides name. */
const OTHER_FLAGS = ['--omit', '--cpus', '--memory', '--stop-timeout']

function pageText(name: string): string {
  return readFileSync(new URL(`${name}.md`, DOCS), 'utf8')
}

/** The commands of a page that begin with `monoceros`, also after variables. */
function commandsOf(name: string): string[] {
  const text = pageText(name).replaceAll(/ \\\n +/g, ' ')
  return [...text.matchAll(/^(?: {4,}|web: )((?:[A-Z_]+=\S+ )*\S*monoceros .*)$/gm)].map(
    ([, command = '']) => command.replace('node_modules/.bin/', ''),
  )
}

for (const guide of GUIDES) {
  const commands = commandsOf(guide).filter(
    (command) => native !== null || !command.includes('--engine native'),
  )
  if (commands.length === 0) continue
  test.serial(`the commands of ${guide}.md have valid settings`, async (t) => {
    const directory = temporaryDirectory('pages')
    writeFileSync(join(directory, 'app.js'), appSource('1'))
    await Promise.all(
      commands.map(async (command) => {
        const words = shellWords(command)
        const program = words.indexOf('monoceros')
        const variables = words.slice(0, program).map((word) => word.split('=', 2))
        const args = words.slice(program + 1)
        const isDoctor = args[0] === 'doctor'
        const result = execute(
          process.execPath,
          [MAIN, ...args, ...(isDoctor ? ['-j'] : ['--check-config'])],
          {
            cwd: directory,
            env: { ...process.env, NODE_OPTIONS: '', ...Object.fromEntries(variables) },
          },
        )
        // The doctor exits with 1 where this machine has a problem.
        const { stdout } = await result.catch((error) => {
          if (isDoctor && error.code === 1) return error
          throw new Error(`${command}: ${error.stderr}`)
        })
        if (isDoctor) t.true(Array.isArray(JSON.parse(stdout)), command)
        else t.regex(stdout, /The settings are valid/, command)
      }),
    )
  })
}

test('the flags that the guides name exist', (t) => {
  const flags = new Set(
    [...pageText('settings').matchAll(/`(--[a-z-]+)`/g)].map(([, flag]) => flag),
  )
  for (const guide of GUIDES) {
    for (const [, flag = ''] of pageText(guide).matchAll(/`(--[a-z-]+)/g)) {
      t.true(flags.has(flag) || OTHER_FLAGS.includes(flag), `${guide}.md: ${flag}`)
    }
  }
})

test('the settings that the guides name exist', (t) => {
  const known = ['settings', 'metrics', 'logging', 'load-balancers'].map(pageText).join('\n')
  for (const guide of GUIDES.filter((name) => name !== 'load-balancers')) {
    for (const [, name = ''] of pageText(guide).matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)) {
      t.true(name === 'node_modules' || known.includes(name), `${guide}.md: ${name}`)
    }
  }
})

test('the log lines that troubleshooting.md quotes exist', (t) => {
  const sources = ['log/log-lines.ts', 'errors.ts']
    .map((file) => readFileSync(new URL(`../../ts/${file}`, import.meta.url), 'utf8'))
    .join('\n')
  const quoted = [...pageText('troubleshooting').matchAll(/^- \*\*`([^`]+)`\*\*:/gm)]
  t.true(quoted.length > 8)
  for (const [, line = ''] of quoted) {
    const beginning = line === 'Using engine: node' ? 'Using engine: ' : line
    t.true(sources.includes(beginning), line)
  }
})

test('the index lists every page once', (t) => {
  const listed = [...pageText('index').matchAll(/^- \[.+?\]\((\S+?\.md)\)/gm)].map(
    ([, page]) => page,
  )
  const pages = readdirSync(DOCS, { recursive: true, encoding: 'utf8' })
    .filter((page) => page.endsWith('.md') && page !== 'index.md')
    .sort()
  t.deepEqual(listed.toSorted(), pages)
})
