// The pidfile: written atomically, refused while its owner is running, removed only by its owner.

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { createPidfile } from '../../ts/arbiter/pidfile.ts'
import { temporaryDirectory } from '../temporary.ts'
import { FakeSystem } from './fake-system.ts'

test('a pidfile holds the process id and a line feed, and no temporary file stays', (t) => {
  const { dir, path } = place()
  const pidfile = createPidfile(new FakeSystem(), path)
  t.is(readFileSync(path, 'utf8'), '1000\n')
  t.is(statSync(path).mode & 0o777, 0o644)
  t.deepEqual(readdirSync(dir), ['pid'])
  pidfile.remove()
  t.deepEqual(readdirSync(dir), [])
})

test('a pidfile of a dead process, or without a process id, is replaced', (t) => {
  for (const text of ['41\n', 'rubbish', '', '-1\n']) {
    const { path } = place()
    writeFileSync(path, text)
    createPidfile(new FakeSystem(), path)
    t.is(readFileSync(path, 'utf8'), '1000\n')
  }
})

test('a pidfile of a running process is not replaced', (t) => {
  const { path } = place()
  writeFileSync(path, '41\n')
  const system = Object.assign(new FakeSystem(), { isAlive: () => true })
  const error = t.throws(() => createPidfile(system, path))
  t.regex(error?.message ?? '', /belongs to process 41, which is running/)
  t.is(readFileSync(path, 'utf8'), '41\n')
})

test('a pidfile that another process has replaced is not removed', (t) => {
  const { path } = place()
  const pidfile = createPidfile(new FakeSystem(), path)
  writeFileSync(path, '41\n')
  pidfile.remove()
  t.is(readFileSync(path, 'utf8'), '41\n')
})

test('of two arbiters that find a stale pidfile, one takes it', (t) => {
  const { dir, path } = place()
  writeFileSync(path, '41\n')
  createPidfile(new FakeSystem(), path)
  const alive = (pid: number) => pid === 1000
  const other = Object.assign(new FakeSystem(), { pid: 2000, isAlive: alive })
  t.throws(() => createPidfile(other, path), { message: /belongs to process 1000/ })
  t.deepEqual(readdirSync(dir), ['pid'])
})

test('a pidfile can be renamed over the one of an older arbiter', (t) => {
  const { dir, path } = place()
  writeFileSync(path, '41\n')
  const pidfile = createPidfile(new FakeSystem(), `${path}.2`)
  pidfile.rename(path)
  t.is(readFileSync(path, 'utf8'), '1000\n')
  t.deepEqual(readdirSync(dir), ['pid'])
  pidfile.remove()
  t.deepEqual(readdirSync(dir), [])
})

test('a directory at the path of the pidfile is an error and stays', (t) => {
  const { path } = place()
  mkdirSync(path)
  t.throws(() => createPidfile(new FakeSystem(), path), { message: /it is not a file/ })
  t.true(statSync(path).isDirectory())
})

test('a pidfile in a missing directory is an error with the reason', (t) => {
  const error = t.throws(() => createPidfile(new FakeSystem(), '/nowhere/pid'))
  t.regex(error?.message ?? '', /pidfile \/nowhere\/pid cannot be written: ENOENT/)
})

function place(): { dir: string; path: string } {
  const dir = temporaryDirectory('pidfile')
  return { dir, path: join(dir, 'pid') }
}
