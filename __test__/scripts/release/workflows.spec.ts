// What the workflows must keep to, where no run can show it: nothing unpinned, and the tables that
// they repeat.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { load } from 'js-yaml'

import { ROOT } from '../../../scripts/command.ts'
import { MAJORS } from '../../../scripts/release/nodes.ts'
import { PLATFORMS } from '../../../scripts/release/platforms.ts'

const FOLDER = join(ROOT, '.github/workflows')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const FILES = [
  ...readdirSync(FOLDER).map((name) => `.github/workflows/${name}`),
  '.github/actions/setup/action.yml',
]

interface Workflow {
  readonly permissions?: Record<string, string>
  readonly env?: Record<string, string>
  readonly jobs: Record<string, Job>
}

interface Job {
  readonly needs?: string | string[]
  readonly permissions?: Record<string, string>
  readonly strategy?: { matrix: Record<string, string[]> & { include?: Record<string, string>[] } }
  readonly 'timeout-minutes'?: number
}

const workflow = (name: string) => load(read(`.github/workflows/${name}.yml`)) as Workflow

test('every action is pinned by its commit, with its version beside it', (t) => {
  for (const file of FILES) {
    const uses = [...read(file).matchAll(/uses: (\S+)(.*)$/gm)]
    for (const [line, action = '', rest = ''] of uses) {
      if (action.startsWith('./')) continue
      t.regex(action, /@[0-9a-f]{40}$/, `${file}: ${line}`)
      t.regex(rest, /^ # v\d+\.\d+\.\d+$/, `${file}: ${line}`)
    }
  }
})

test('an action has the same commit everywhere', (t) => {
  const commits = new Map<string, Set<string>>()
  for (const [, action = '', commit = ''] of FILES.map(read)
    .join('\n')
    .matchAll(/uses: ([^@\s./][^@\s]*)@(\S+)/g)) {
    const [owner, name] = action.split('/')
    commits.set(`${owner}/${name}`, (commits.get(`${owner}/${name}`) ?? new Set()).add(commit))
  }
  t.true(commits.size > 4)
  t.deepEqual(
    [...commits].filter(([, found]) => found.size > 1),
    [],
  )
})

test('all workflows have one version of Rust, and one job has the oldest', (t) => {
  const versions = ['ci', 'release'].map((name) => workflow(name).env?.RUSTUP_TOOLCHAIN)
  t.regex(versions[0] ?? '', /^\d+\.\d+\.\d+$/)
  t.is(versions[0], versions[1])
  const oldest = /^rust-version = "(.+)"$/m.exec(read('Cargo.toml'))?.[1]
  t.true(read('.github/workflows/ci.yml').includes(`RUSTUP_TOOLCHAIN: "${oldest}.0"`))
})

test('every job has a time limit, and no workflow may write by default', (t) => {
  for (const name of ['ci', 'codeql', 'release']) {
    const { permissions, jobs } = workflow(name)
    t.deepEqual(
      Object.values(permissions ?? { all: 'write' }).filter((right) => right !== 'read'),
      [],
    )
    for (const [job, { 'timeout-minutes': limit }] of Object.entries(jobs)) t.truthy(limit, job)
  }
})

test('a release builds every platform, and tests every version of Node', (t) => {
  const { build, test: tested, publish } = workflow('release').jobs
  t.deepEqual(
    build?.strategy?.matrix.include?.map(({ platform }) => platform),
    PLATFORMS.map(({ name }) => name),
  )
  t.deepEqual(tested?.strategy?.matrix.node?.map(Number), MAJORS)
  t.deepEqual(publish?.needs, ['test', 'test-images'])
})

test('only the jobs that publish may write', (t) => {
  const writing = Object.entries(workflow('release').jobs)
    .filter(([, { permissions }]) => Object.values(permissions ?? {}).includes('write'))
    .map(([name]) => name)
  t.deepEqual(writing, ['publish', 'github'])
})

test('the matrix of ci has every version of Node that is supported', (t) => {
  t.deepEqual(workflow('ci').jobs.ready?.strategy?.matrix.node?.map(Number), MAJORS)
})
