// Collectors that are given by name, when the name cannot be looked up any more.

import { spawnSync } from 'node:child_process'
import test from 'ava'

import { resolveCollectors } from '../../ts/log/collectors.ts'
import { needs } from '../requirements.ts'
import { appSource, ENGINES, serveArgs, startProgram } from './program.ts'
import { udpReceiver } from './receivers.ts'

/** /etc/hosts is a file of the test's directory. */
const OWN_NAMES = `mount --make-rprivate / && mount --bind hosts /etc/hosts && exec "$@"`
const ISOLATED = ['unshare', '--mount', 'sh', '-c', OWN_NAMES, 'sh'] as const
// Only root may mount, and not in every container.
const mayMount =
  spawnSync('unshare', ['--mount', 'sh', '-c', 'mount --bind /etc/hosts /etc/hosts']).status === 0
const testIsolated = needs('the right to mount', mayMount)

const NAMES = '127.0.0.1 localhost\n'

for (const engine of ENGINES) {
  testIsolated(
    `${engine}: a worker starts although a collector's name cannot be resolved`,
    async (t) => {
      const receiver = await udpReceiver(t)
      const port = receiver.address.split(':').at(-1)
      const program = startProgram(t, {
        files: { 'app.cjs': appSource('1'), hosts: `${NAMES}127.0.0.1 collector.test\n` },
        args: [
          ...serveArgs(engine, '-w', '1', '--statsd-host', `collector.test:${port}`),
          ...['--log-syslog', '--log-syslog-to', `udp://collector.test:${port}`],
        ],
        command: ISOLATED,
      })
      await program.ready(1)
      program.write('hosts', NAMES)
      const [victim = 0] = program.workers()
      process.kill(victim, 'SIGKILL')
      await program.line(/Worker ready/)
      receiver.received.length = 0
      t.is((await program.get('/hello')).status, 200)
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
      t.notRegex(program.log, /must be an address that can be resolved/)
      await receiver.message(/gunicorn\.requests:1\|c/)
      await receiver.message(/gunicorn\.app\.cjs\.access: .*"GET \/hello /)
    },
  )
}

test('names become numbers, and all else stays as it is', async (t) => {
  const unused = { syslog: false, syslog_addr: 'udp://localhost:514', statsd_host: null }
  t.deepEqual(await resolveCollectors(unused), {})
  const found = await resolveCollectors({ ...unused, syslog: true, statsd_host: 'localhost' })
  t.regex(found.syslog_addr ?? '', /^udp:\/\/(?:127\.0\.0\.1|\[::1\]):514$/)
  t.regex(found.statsd_host ?? '', /^(?:127\.0\.0\.1|\[::1\])$/)
  for (const place of ['unix:///dev/log#dgram', 'tcp://[::1]:514', 'udp://127.0.0.1:514']) {
    const { syslog_addr } = await resolveCollectors({
      ...{ syslog: true, syslog_addr: place, statsd_host: null },
    })
    t.is(syslog_addr, place)
  }
})

test('a name that cannot be resolved keeps its last known address', async (t) => {
  // RFC 6761 section 6.4: no name ends in this.
  const settings = { syslog: true, syslog_addr: 'udp://a.invalid:514', statsd_host: 'a.invalid' }
  t.deepEqual(await resolveCollectors(settings, { statsd_host: '192.0.2.1' }), {
    syslog_addr: 'udp://a.invalid:514',
    statsd_host: '192.0.2.1',
  })
})
