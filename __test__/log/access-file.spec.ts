// The file of the access log: lines are collected, and none is lost or out of its place.

import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import test from 'ava'

import { type AccessEntry, openAccessLog } from '../../ts/log/access.ts'
import { until } from '../process/program.ts'
import { temporaryDirectory } from '../temporary.ts'

function entry(url: string): AccessEntry {
  return {
    remoteAddress: '10.1.2.3',
    method: 'GET',
    url,
    protocol: 'HTTP/1.1',
    status: 200,
    bodyBytes: 12,
    durationUs: 1,
    requestField: () => undefined,
    responseField: () => undefined,
  }
}

function openLog(path: string) {
  const log = openAccessLog({ accesslog: path, access_log_format: '%(m)s %(U)s' })
  if (log === undefined) throw new Error('there is no log')
  return log
}

/** What is in a file once something is: a thread of node's pool writes it, which an exit waits for. */
async function written(path: string): Promise<string> {
  return until(() => readFileSync(path, 'utf8'), `a line in ${path}`)
}

test('a lone line is written within a moment, without a flush', async (t) => {
  const path = join(temporaryDirectory('access'), 'access.log')
  openLog(path).log(entry('/lone'))
  t.is(await written(path), 'GET /lone\n')
})

test('thousands of lines, one of them longer than a write, come whole and in order', async (t) => {
  const path = join(temporaryDirectory('access'), 'access.log')
  const log = openLog(path)
  const urls = Array.from(
    { length: 5_000 },
    (_, i) => `/${i}${i === 2_500 ? 'x'.repeat(40_000) : ''}`,
  )
  for (const [index, url] of urls.entries()) {
    log.log(entry(url))
    if (index % 1_000 === 0) await setTimeout(5)
  }
  await setTimeout(50)
  log.flush()
  const lines = () => readFileSync(path, 'utf8').split('\n')
  await until(() => lines().length > urls.length, 'every line')
  t.deepEqual(lines(), [...urls.map((url) => `GET ${url}`), ''])
})

test('what was logged before the file was moved is in the old one', async (t) => {
  const path = join(temporaryDirectory('access'), 'access.log')
  const log = openLog(path)
  log.log(entry('/before'))
  renameSync(path, `${path}.1`)
  log.reopen()
  log.log(entry('/behind'))
  log.flush()
  t.is(await written(`${path}.1`), 'GET /before\n')
  t.is(await written(path), 'GET /behind\n')
})
