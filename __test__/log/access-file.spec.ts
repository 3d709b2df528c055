// The file of the access log: lines are written in batches, complete and in order.

import { readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
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

/** Fewer bytes than this may wait for the timer of 100 ms. */
const MAX_BATCH_BYTES = 8_192

function openLog(path: string) {
  const log = openAccessLog({ accesslog: path, access_log_format: '%(m)s %(U)s' })
  if (log === undefined) throw new Error('there is no log')
  return log
}

/**
 * Waits until a file has contents. A thread of Node's pool writes them, and an exit waits for it.
 */
async function written(path: string): Promise<string> {
  return until(() => readFileSync(path, 'utf8'), `a line in ${path}`)
}

test('a single access line is written without a flush', async (t) => {
  const path = join(temporaryDirectory('access'), 'access.log')
  openLog(path).log(entry('/lone'))
  t.is(await written(path), 'GET /lone\n')
})

test('thousands of access lines are written completely and in order', async (t) => {
  const path = join(temporaryDirectory('access'), 'access.log')
  const log = openLog(path)
  const urls = Array.from(
    { length: 5_000 },
    (_, i) => `/${i}${i === 2_500 ? 'x'.repeat(40_000) : ''}`,
  )
  const size = () => statSync(path).size
  for (const [index, url] of urls.entries()) {
    const before = size()
    log.log(entry(url))
    // Some lines are logged while others are being written.
    if (index % 1_000 === 0) await until(() => size() > before, 'a written line')
  }
  const totalBytes = urls.reduce((sum, url) => sum + `GET ${url}\n`.length, 0)
  await until(() => size() > totalBytes - MAX_BATCH_BYTES, 'every full batch')
  log.flush()
  const lines = () => readFileSync(path, 'utf8').split('\n')
  await until(() => lines().length > urls.length, 'every line')
  t.deepEqual(lines(), [...urls.map((url) => `GET ${url}`), ''])
})

test('access lines logged before the file was moved are in the old file', async (t) => {
  const path = join(temporaryDirectory('access'), 'access.log')
  const log = openLog(path)
  log.log(entry('/before'))
  renameSync(path, `${path}.1`)
  log.reopen()
  log.log(entry('/after'))
  log.flush()
  t.is(await written(`${path}.1`), 'GET /before\n')
  t.is(await written(path), 'GET /after\n')
})
