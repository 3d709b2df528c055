/** `monoceros migrate FILE`: writes a config file from a file of pm2 or Gunicorn. */

import { readFileSync, writeFileSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { monocerosError } from '../errors.ts'
import { type Draft, renderConfigFile } from '../migrate/draft.ts'
import { GUNICORN_EXTENSIONS, translateGunicorn } from '../migrate/gunicorn.ts'
import { loadPm2File, nameOfApp, PM2_EXTENSIONS, translateApp } from '../migrate/pm2.ts'
import { errorCode } from '../process/system.ts'
import { joinWithOr } from '../settings/kinds.ts'
import { printToStdout } from './print.ts'

const HELP = `Usage: monoceros migrate [OPTIONS] FILE

Writes a config file for an application that runs under pm2 or Gunicorn. FILE is an
ecosystem file of pm2 (.js, .cjs, .mjs, .json, .yaml) or a config file of Gunicorn (.py).
What has no equivalent is a comment with the reason. docs/migrate.md has the tables.

Options:
  -o, --output FILE  File to write. Default: standard output. For several applications,
                     their names are added: monoceros.config.api.ts.
  -f, --force        Overwrites the file.
  -a, --app NAME     Application of the ecosystem file. Default: all.
  -e, --env NAME     Uses env_NAME of the ecosystem file, as pm2 --env NAME does.
  -h, --help         Prints this help and exits.

Example:
  monoceros migrate ecosystem.config.js -o monoceros.config.ts
`

const OPTIONS = {
  output: { type: 'string', short: 'o' },
  force: { type: 'boolean', short: 'f', default: false },
  app: { type: 'string', short: 'a' },
  env: { type: 'string', short: 'e' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

interface NamedDraft {
  readonly name: string
  readonly draft: Draft
}

/** Runs the command line after `migrate`; resolves to the exit status. */
export async function runMigrate(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(argv)
  const { output, force, app, env, help } = values
  const [path, ...more] = positionals
  if (help) {
    printToStdout(HELP)
    return 0
  }
  if (path === undefined || more.length > 0) {
    const got = more.length > 0 ? `got ${positionals.length}` : 'got none'
    throw monocerosError('ERR_MIGRATE_USAGE', `migrate takes one file, ${got}`)
  }
  const drafts = await translate(path, { app, env })
  const [first, ...others] = drafts
  if (output === undefined) {
    if (others.length > 0) {
      throw monocerosError('ERR_MIGRATE_APP', path, joinWithOr(drafts.map(({ name }) => name)))
    }
    if (first !== undefined) printToStdout(renderConfigFile(first.draft))
    return 0
  }
  writeConfigFiles(drafts, { output, force })
  return 0
}

function parseOptions(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true })
  } catch (error) {
    const [first = ''] = String(error instanceof Error ? error.message : error).split(/\.\s|\n/)
    throw monocerosError('ERR_MIGRATE_USAGE', first.replace(/\.$/, '')).withCause(error)
  }
}

async function translate(
  path: string,
  { app, env }: { app: string | undefined; env: string | undefined },
): Promise<NamedDraft[]> {
  const extension = extname(path)
  if (GUNICORN_EXTENSIONS.includes(extension)) {
    return [{ name: 'gunicorn', draft: translateGunicorn(readSource(path), path) }]
  }
  if (!PM2_EXTENSIONS.includes(extension)) {
    const allowed = joinWithOr([...PM2_EXTENSIONS, ...GUNICORN_EXTENSIONS])
    throw monocerosError('ERR_MIGRATE_KIND', path, allowed)
  }
  readSource(path)
  const { apps, hasDeploy } = await loadPm2File(resolve(path))
  const chosen = apps.filter((one) => app === undefined || nameOfApp(one) === app)
  if (chosen.length === 0) {
    const names = joinWithOr(apps.map(nameOfApp))
    throw monocerosError('ERR_MIGRATE_APP_UNKNOWN', path, app ?? '', names)
  }
  return chosen.map((one) => ({
    name: nameOfApp(one),
    draft: translateApp(one, { path, environment: env, hasDeploy }),
  }))
}

function readSource(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw monocerosError('ERR_MIGRATE_BROKEN', path, errorCode(error) ?? String(error))
  }
}

function writeConfigFiles(
  drafts: readonly NamedDraft[],
  { output, force }: { output: string; force: boolean },
): void {
  const files = drafts.map(({ name, draft }, index) => {
    // Two applications may have one name.
    const isTaken = drafts.slice(0, index).some((other) => other.name === name)
    const own = isTaken ? `${name}-${index + 1}` : name
    const path = drafts.length === 1 ? output : addName(output, own)
    return { path, text: renderConfigFile(draft) }
  })
  for (const { path, text } of files) {
    try {
      writeFileSync(path, text, { flag: force ? 'w' : 'wx' })
    } catch (error) {
      if (errorCode(error) === 'EEXIST') throw monocerosError('ERR_MIGRATE_EXISTS', path)
      throw monocerosError('ERR_MIGRATE_WRITE', path, errorCode(error) ?? String(error))
    }
    printToStdout(`Wrote ${path}\n`)
  }
}

// Names may have any characters; those that a shell or a directory could misread are replaced.
function addName(path: string, name: string): string {
  const extension = extname(path)
  const safe = name.replace(/[^\w.-]+/g, '-').replace(/^[.-]+/, '')
  return `${path.slice(0, path.length - extension.length)}.${safe}${extension}`
}
