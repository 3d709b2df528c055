/** `monoceros doctor [APP]`: checks the machine and the settings for what fails in production. */

import { CHECKS, type Finding } from '../doctor/checks.ts'
import { type CheckedSettings, collectFacts } from '../doctor/facts.ts'
import { MonocerosError } from '../errors.ts'
import { system } from '../process/system.ts'
import { resolveConfig } from '../settings/config.ts'
import { wrapWords } from '../settings/wrap.ts'
import { colorize, type Style } from '../text/format.ts'
import { findStyle } from '../text/style.ts'
import { printToStdout } from './print.ts'

const JSON_FLAGS: readonly string[] = ['-j', '--json']
const HELP_FLAGS: readonly string[] = ['-h', '--help']
const COLUMNS = 80
const STATUS_WIDTH = 9
const COLORS = { ok: 'green', problem: 'red', unknown: 'yellow' } as const

const HELP = `Usage: monoceros doctor [-j] [OPTIONS] [APP]

Checks this machine and the settings for what fails in production. Takes the
same options as the server, and reads the same config file and environment.
-j prints JSON. The exit status is 1 if there is a problem.

Checks:
`

/** Runs the checks; resolves to the exit status. */
export async function runDoctor(argv: readonly string[]): Promise<number> {
  const isJson = argv.some((word) => JSON_FLAGS.includes(word))
  if (argv.some((word) => HELP_FLAGS.includes(word))) {
    printToStdout(helpText())
    return 0
  }
  const settings = await findSettings(argv.filter((word) => !JSON_FLAGS.includes(word)))
  const facts = collectFacts(settings, system.env)
  const results = CHECKS.map(({ title, check }) => ({ title, ...check(facts) }))
  const problems = results.filter(({ status }) => status === 'problem').length
  if (isJson) printToStdout(`${JSON.stringify(results, null, 2)}\n`)
  else {
    const style = findStyle(process.stdout, system.env)
    const lines = results.map((result) => formatResult(result, style))
    printToStdout(`${lines.join('')}${problems === 0 ? 'No problem' : `Problems: ${problems}`}\n`)
  }
  return problems === 0 ? 0 : 1
}

/** Reads the settings as a start does. If they are invalid, the defaults are checked instead. */
async function findSettings(argv: readonly string[]): Promise<CheckedSettings> {
  const cwd = process.cwd()
  try {
    const { values } = await resolveConfig({ argv, env: { ...system.env }, cwd })
    return { config: values, error: undefined }
  } catch (error) {
    if (!(error instanceof MonocerosError)) throw error
    const { values } = await resolveConfig({ argv: [], env: {}, cwd: '/', embedded: {} })
    return { config: values, error: error.message }
  }
}

function formatResult({ title, status, value, advice }: Result, style: Style): string {
  const width = Math.max(...CHECKS.map((row) => row.title.length)) + 2
  const indent = ' '.repeat(STATUS_WIDTH + width)
  const texts = advice === undefined ? [value] : [value, advice]
  const [first = '', ...lines] = texts.flatMap((text, index) => {
    const mark = index === 0 ? '' : '-> '
    const words = `${mark}${text.replaceAll('\n', ' ')}`.split(' ')
    return wrapWords(words, COLUMNS - indent.length)
  })
  const head = colorize(status.padEnd(STATUS_WIDTH), COLORS[status], style)
  const rest = lines.map((line) => `${indent}${line}\n`)
  return `${head}${title.padEnd(width)}${first}\n${rest.join('')}`
}

interface Result extends Finding {
  readonly title: string
}

function helpText(): string {
  const width = Math.max(...CHECKS.map(({ title }) => title.length)) + 4
  const rows = CHECKS.map(({ title, why }) => {
    const [first = '', ...more] = wrapWords(why.split(' '), COLUMNS - width)
    const rest = more.map((line) => `${' '.repeat(width)}${line}\n`)
    return `${`  ${title}`.padEnd(width)}${first}\n${rest.join('')}`
  })
  return `${HELP}${rows.join('')}`
}
