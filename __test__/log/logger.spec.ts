// The error log: Gunicorn's line format, levels, stacks, and lines that cannot be written.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import test from 'ava'

import { createLogger, type LogLevel } from '../../ts/log/logger.ts'
import { needs } from '../requirements.ts'
import { temporaryDirectory } from '../temporary.ts'
import { uses } from '../uses.ts'

const LOGGER = new URL('../../ts/log/logger.ts', import.meta.url).href

test('a log line has time, offset, process id, level and message', (t) => {
  const { log, text } = opened('info')
  log.info('Listening at: http://127.0.0.1:8000 (1)')
  t.regex(
    text(),
    new RegExp(
      '^\\[\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d [+-]\\d{4}\\] ' +
        `\\[${process.pid}\\] \\[INFO\\] Listening at: http://127\\.0\\.0\\.1:8000 \\(1\\)\\n$`,
    ),
  )
})

test('log lines below the level are not written', (t) => {
  const { loglevel } = uses(t, { loglevel: 'warning' } as const)
  const { log, text } = opened(loglevel)
  log.debug('d')
  log.info('i')
  log.warning('w')
  log.error('e')
  log.critical('c')
  t.deepEqual(
    text()
      .trim()
      .split('\n')
      .map((line) => line.replace(/.*(\[[A-Z]+\])/, '$1')),
    ['[WARNING] w', '[ERROR] e', '[CRITICAL] c'],
  )
})

test('a logged exception has the stack and the cause', (t) => {
  const { log, text } = opened('error')
  log.exception(
    'Error handling request GET /',
    new TypeError('outer', { cause: new Error('inner') }),
  )
  t.regex(text(), /\[ERROR\] Error handling request GET \/\nTypeError: outer\n {4}at /)
  t.regex(text(), /\[cause\]: Error: inner/)
})

test('a thrown value that is not an error is logged as a value', (t) => {
  const { log, text } = opened('error')
  log.exception('Error', { answer: 42 })
  t.regex(text(), /thrown: \{ answer: 42 \}\n$/)
})

// Values that inspect() throws for.
const UNSHOWABLE: Record<string, [thrown: unknown, shown: RegExp]> = {
  'a thrown proxy without working traps': [
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('not this')
        },
        getPrototypeOf: () => {
          throw new Error('nor this')
        },
      },
    ),
    /thrown: Proxy \[/,
  ],
  'a thrown object whose inspect method throws': [
    {
      [inspect.custom]() {
        throw new Error('not this')
      },
    },
    /thrown: \{/,
  ],
  'a thrown error whose stack getter throws': [
    Object.defineProperty(new Error('x'), 'stack', {
      get() {
        throw new Error('not this')
      },
    }),
    // Newer versions of Node show a part.
    /thrown: a value that cannot be shown \(object\)|\[Error: x\]/,
  ],
  'a thrown undefined': [undefined, /thrown: undefined/],
}

for (const [title, [thrown, shown]] of Object.entries(UNSHOWABLE)) {
  for (const format of ['text', 'json'] as const) {
    test(`${title} is logged, as ${format}`, (t) => {
      const { log, text } = opened('error', format)
      t.notThrows(() => log.exception('Uncaught', thrown))
      t.regex(text(), /Uncaught/)
      t.regex(text(), shown)
    })
  }
}

test('a new log target is used at once, unless it cannot be opened', (t) => {
  const first = opened('info')
  const second = join(first.dir, 'second.log')
  const broken = { errorlog: 'missing/dir/x.log', loglevel: 'info', chdir: first.dir } as const
  const error = t.throws(() => first.log.configure(broken))
  t.regex(error?.message ?? '', /errorlog must be a file that can be appended to, got ".*x\.log"/)
  first.log.info('still first')
  first.log.configure({ errorlog: 'second.log', loglevel: 'info', chdir: first.dir })
  first.log.info('now second')
  t.regex(first.text(), /still first\n$/)
  t.regex(readFileSync(second, 'utf8'), /now second\n$/)
})

function opened(loglevel: LogLevel, error_log_format: 'text' | 'json' = 'text') {
  const dir = temporaryDirectory('log')
  const log = createLogger({ errorlog: 'error.log', loglevel, error_log_format, chdir: dir })
  return { dir, log, text: () => readFileSync(join(dir, 'error.log'), 'utf8') }
}

const testFull = needs('/dev/full', existsSync('/dev/full'), test)

testFull('log lines for a full disk do not fill the memory', (t) => {
  const program = `
    import { createLogger } from ${JSON.stringify(LOGGER)}
    for (const error_log_format of ['text', 'json']) {
      const options = { errorlog: '/dev/full', error_log_format, loglevel: 'info', chdir: '.' }
      const log = createLogger(options)
      for (let count = 0; count < 40_000; count += 1) log.error(count + 'x'.repeat(2_000))
    }
  `
  const { stderr, status } = spawnSync(
    process.execPath,
    ['--max-old-space-size=48', ...process.execArgv, '--input-type=module', ...['--eval', program]],
    { encoding: 'utf8' },
  )
  t.is(status, 0, stderr.slice(0, 1_000))
  t.is(stderr.match(/cannot be written \(ENOSPC/g)?.length, 2)
})

test('a process without a free descriptor still writes log lines', (t) => {
  const program = `
    import { openSync } from 'node:fs'
    import { createLogger } from ${JSON.stringify(LOGGER)}
    const log = createLogger({ errorlog: '-', loglevel: 'info', chdir: '.' })
    let code
    try {
      for (;;) openSync('/dev/null', 'r')
    } catch (error) {
      code = error.code
    }
    log.error('no descriptor is left: ' + code)
  `
  // The limit is far below that of this test, and far above what a process needs to start.
  const { stderr, status } = spawnSync(
    'sh',
    [
      '-c',
      'ulimit -n 256; exec "$@"',
      'sh',
      process.execPath,
      ...process.execArgv,
      '--input-type=module',
      '--eval',
      program,
    ],
    { encoding: 'utf8' },
  )
  t.regex(stderr, /\[ERROR\] no descriptor is left: EMFILE\n/)
  t.is(status, 0)
})
