// The pidfile: whole, refused while its owner lives, removed only by its owner.

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { createPidfile } from '../../ts/arbiter/pidfile.ts'
import { temporaryDirectory } from '../temporary.ts'
import { FakeSystem } from './fake-system.ts'

test('holds the process id and a newline, and nothing is left beside it', (t) => {
  const { dir, path } = place()
  const pidfile = createPidfile(new FakeSystem(), path)
  t.is(readFileSync(path, 'utf8'), '1000\n')
  t.is(statSync(path).mode & 0o777, 0o644)
  t.deepEqual(readdirSync(dir), ['pid'])
  pidfile.remove()
  t.deepEqual(readdirSync(dir), [])
})

test('of a dead process, or of rubbish, is replaced', (t) => {
  for (const text of ['41\n', 'rubbish', '', '-1\n']) {
    const { path } = place()
    writeFileSync(path, text)
    createPidfile(new FakeSystem(), path)
    t.is(readFileSync(path, 'utf8'), '1000\n')
  }
})

test('of a living process is refused', (t) => {
  const { path } = place()
  writeFileSync(path, '41\n')
  const system = Object.assign(new FakeSystem(), { isAlive: () => true })
  const error = t.throws(() => createPidfile(system, path))
  t.regex(error?.message ?? '', /belongs to process 41, which is running/)
  t.is(readFileSync(path, 'utf8'), '41\n')
})

test('that another has taken over is not removed', (t) => {
  const { path } = place()
  const pidfile = createPidfile(new FakeSystem(), path)
  writeFileSync(path, '41\n')
  pidfile.remove()
  t.is(readFileSync(path, 'utf8'), '41\n')
})

test('of two arbiters that find one of a dead process, one gets it', (t) => {
  const { dir, path } = place()
  writeFileSync(path, '41\n')
  createPidfile(new FakeSystem(), path)
  const alive = (pid: number) => pid === 1000
  const other = Object.assign(new FakeSystem(), { pid: 2000, isAlive: alive })
  t.throws(() => createPidfile(other, path), { message: /belongs to process 1000/ })
  t.deepEqual(readdirSync(dir), ['pid'])
})

test('takes the place of another at a promotion', (t) => {
  const { dir, path } = place()
  writeFileSync(path, '41\n')
  const pidfile = createPidfile(new FakeSystem(), `${path}.2`)
  pidfile.rename(path)
  t.is(readFileSync(path, 'utf8'), '1000\n')
  t.deepEqual(readdirSync(dir), ['pid'])
  pidfile.remove()
  t.deepEqual(readdirSync(dir), [])
})

test('that is a directory stays one', (t) => {
  const { path } = place()
  mkdirSync(path)
  t.throws(() => createPidfile(new FakeSystem(), path), { message: /it is not a file/ })
  t.true(statSync(path).isDirectory())
})

test('in a directory that is not there is an error with the reason', (t) => {
  const error = t.throws(() => createPidfile(new FakeSystem(), '/nowhere/pid'))
  t.regex(error?.message ?? '', /pidfile \/nowhere\/pid cannot be written: ENOENT/)
})

function place(): { dir: string; path: string } {
  const dir = temporaryDirectory('pidfile')
  return { dir, path: join(dir, 'pid') }
}
