// Syslog from outside: both logs, every kind of socket, Gunicorn's form of a message.

import { join } from 'node:path'
import test from 'ava'

import { needs, needsAddon } from '../requirements.ts'
import { appSource, ENGINES, serveArgs, startProgram } from './program.ts'
import { hasPython, streamReceiver, udpReceiver, unixReceiver } from './receivers.ts'

for (const engine of ENGINES) {
  test.serial(`${engine}: syslog over UDP gets both logs, with priority and tag`, async (t) => {
    const syslog = await udpReceiver(t)
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: [
        ...serveArgs(engine, '-w', '1', '--log-syslog', '--log-syslog-prefix', 'shop'),
        ...['--log-syslog-to', `udp://${syslog.address}`, '--log-syslog-facility', 'local3'],
        ...['--access-logformat', '%(r)s %(s)s "%(a)s"'],
      ],
    })
    await program.ready(1)
    await program.get('/hello')
    // local3 is 19: 19 * 8 + 6 for info, + 3 for error.
    await syslog.message(/^<158>gunicorn\.shop\.error: \[\d+\] Starting monoceros [\d.]+\0$/)
    await syslog.message(/^<158>gunicorn\.shop\.access: \[\d+\] GET \/hello HTTP\/1\.1 200 "-"\0$/)
    await program.get('/throw').catch(() => undefined)
    const thrown = await syslog.message(/^<155>.*Uncaught error in the application\n/)
    t.regex(thrown, /Error: thrown by a handler\n +at /)
    program.signal('SIGTERM')
    t.is(await program.exited, 0)
    await syslog.message(/Shutting down: Master/)
    // The log on standard error is the same one.
    t.regex(program.log, /Uncaught error in the application/)
  })

  test.serial(
    `${engine}: disable_redirect_access_to_syslog keeps the access log out of syslog`,
    async (t) => {
      const syslog = await udpReceiver(t)
      const program = startProgram(t, {
        files: { 'app.cjs': appSource('1') },
        args: [
          ...serveArgs(engine, '-w', '1', '--log-syslog', '--disable-redirect-access-to-syslog'),
          ...['--log-syslog-to', `udp://${syslog.address}`],
        ],
      })
      await program.ready(1)
      await program.get('/hello')
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
      await syslog.message(/Shutting down: Master/)
      t.deepEqual(
        syslog.received.filter((text) => text.includes('access')),
        [],
      )
      t.true(
        syslog.received.every((text) => text.startsWith('<1') && text.includes('app.cjs.error')),
      )
    },
  )

  test.serial(`${engine}: syslog over TCP gets a line each, and a stack as one`, async (t) => {
    const syslog = await streamReceiver(t)
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: [
        ...serveArgs(engine, '-w', '1', '--log-syslog'),
        ...['--log-syslog-to', `tcp://${syslog.address}`],
      ],
    })
    await program.ready(1)
    await program.get('/throw').catch(() => undefined)
    await program.get('/hello')
    await syslog.message(/^<14>gunicorn\.app\.cjs\.access: \[\d+\] .*"GET \/hello HTTP\/1\.1" 200/)
    await syslog.message(
      /^<11>.*Uncaught error in the application#012Error: thrown by a handler#012/,
    )
    t.true(syslog.received.every((line) => /^<\d+>gunicorn\.app\.cjs\./.test(line)))
  })
}

test.serial('syslog at a unix stream that appears later', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '-w', '1', '--log-syslog', '--log-syslog-to', 'unix://log#stream'),
  })
  await program.ready(1)
  const syslog = await streamReceiver(t, join(program.directory, 'log'))
  // A connection is tried at most once a second.
  const timer = setInterval(() => program.signal('SIGUSR1'), 300)
  t.teardown(() => clearInterval(timer))
  await syslog.message(/error: \[\d+\] Handling signal: usr1/)
  t.is((await program.get()).status, 200)
})

const testDatagrams = needs('python3', hasPython, needsAddon())

testDatagrams('syslog at a unix datagram socket, as /dev/log is', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('native', '-w', '1', '--log-syslog', '--log-syslog-to', 'unix://log'),
  })
  await program.ready(1)
  const syslog = await unixReceiver(t, join(program.directory, 'log'))
  const timer = setInterval(() => void program.get('/hello'), 300)
  t.teardown(() => clearInterval(timer))
  await syslog.message(/^'<14>gunicorn\.app\.cjs\.access: \[\d+\] .*GET \/hello/)
  program.signal('SIGUSR1')
  await syslog.message(/^'<14>gunicorn\.app\.cjs\.error: \[\d+\] Handling signal: usr1\\x00'$/)
  t.is((await program.get()).status, 200)
})

// Without the addon node looks the name up with each message, and nothing is known at the start.
const testNames = needsAddon()

testNames('a name that cannot be resolved fails the start', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '--log-syslog', '--log-syslog-to', 'udp://unknown.invalid:514'),
  })
  t.is(await program.exited, 1)
  t.regex(
    program.log,
    /syslog_addr must be an address that can be resolved, got "udp:\/\/unknown\.invalid/,
  )
})
