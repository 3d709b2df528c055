// Another user and group, the mask, priorities: what the processes and files are to the system.
// Needs root.

import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { native } from '../../ts/native/index.ts'
import { needs, needsOtherUsers } from '../requirements.ts'
import {
  appSource,
  ENGINES,
  get,
  serveArgs,
  startProgram,
  until,
  WITHOUT_ADDON,
} from './program.ts'

const testRoot = needsOtherUsers()

/** The file `group` of the program's directory as the groups of the system; then the program. */
const MOUNT = 'mount --make-rprivate / && mount --bind ./group /etc/group && exec "$@"'
const OWN_GROUPS = ['unshare', '--mount', 'sh', '-c', MOUNT, 'sh'] as const
const mayMount = spawnSync('unshare', ['--mount', 'mount', '--make-rprivate', '/']).status === 0
// Not every container permits it.
const testGroups = needs('the right to mount', mayMount, testRoot)

const WHO = `module.exports = (req, res) => res.end(JSON.stringify({
  uid: process.getuid(), gid: process.getgid(), groups: process.getgroups() }))`
const USER = 'nobody'
const UNPRIVILEGED = idsOf(USER)

for (const engine of ENGINES) {
  testRoot(`${engine}: a user by number has the group that is the user's own`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': WHO },
      args: serveArgs(engine, '-w', '1', '-u', String(UNPRIVILEGED.uid)),
    })
    chmodSync(program.directory, 0o755)
    await program.ready(1)
    const { uid, gid, groups } = JSON.parse((await program.get()).body)
    t.deepEqual([uid, gid, groups], [UNPRIVILEGED.uid, UNPRIVILEGED.gid, [UNPRIVILEGED.gid]])
  })

  testRoot(`${engine}: workers are the user and have none of the groups of root`, async (t) => {
    const program = startProgram(t, {
      files: { 'app.cjs': WHO },
      args: serveArgs(engine, '-w', '1', '-u', 'nobody', '-m', '007', '-b', 'unix:a.sock', ...LOGS),
    })
    chmodSync(program.directory, 0o755)
    await program.ready(1)
    t.deepEqual(JSON.parse((await program.get()).body), {
      uid: UNPRIVILEGED.uid,
      gid: UNPRIVILEGED.gid,
      groups: [UNPRIVILEGED.gid],
    })
    // Threads too: the engine's are started by then.
    const [worker = 0] = program.workers()
    t.regex(
      readFileSync(`/proc/${worker}/status`, 'utf8'),
      new RegExp(`Uid:\\s+${UNPRIVILEGED.uid}\\s`),
    )
    const socket = statSync(join(program.directory, 'a.sock'))
    t.deepEqual(
      [socket.uid, socket.gid, socket.mode & 0o777],
      [UNPRIVILEGED.uid, UNPRIVILEGED.gid, 0o770],
    )
    t.is(statSync(join(program.directory, 'access.log')).uid, UNPRIVILEGED.uid)
    // The arbiter has kept its rights, and a reload finds everything as it was.
    t.regex(readFileSync(`/proc/${program.pid}/status`, 'utf8'), /Uid:\s+0\s/)
    program.signal('SIGHUP')
    await program.line(/Reload complete/)
    t.is(JSON.parse((await program.get()).body).uid, UNPRIVILEGED.uid)
  })
}

testRoot('a directory that the user cannot read is named', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': WHO },
    args: serveArgs('auto', '-w', '1', '-u', String(UNPRIVILEGED.uid)),
  })
  // `mkdtemp` makes it private.
  await program.line(/user "\d+": this user has no access to .*monoceros-process-/)
  t.is(await program.exited, 1)
})

const LOGS = ['--access-logfile', 'access.log']

testRoot('numbers for the user and the group are taken', async (t) => {
  const more = ['-u', String(UNPRIVILEGED.uid), '-g', '12345']
  const program = startProgram(t, {
    files: { 'app.cjs': WHO },
    args: serveArgs('auto', '-w', '1', ...more),
  })
  chmodSync(program.directory, 0o755)
  await program.ready(1)
  const { uid, gid, groups } = JSON.parse((await program.get()).body)
  t.deepEqual([uid, gid, groups], [UNPRIVILEGED.uid, 12345, [12345]])
})

for (const engine of ENGINES) {
  testGroups(`${engine}: initgroups adds the further groups of the user`, async (t) => {
    const groupsWith = async (...more: string[]) => {
      const program = startProgram(t, {
        files: { 'app.cjs': WHO, group: `nogroup:x:${UNPRIVILEGED.gid}:\ncrew:x:12399:${USER}\n` },
        args: serveArgs(engine, '-w', '1', '-u', USER, ...more),
        command: OWN_GROUPS,
      })
      chmodSync(program.directory, 0o755)
      await program.ready(1)
      return JSON.parse((await program.get()).body).groups.toSorted()
    }
    t.deepEqual(await groupsWith(), [UNPRIVILEGED.gid])
    t.deepEqual(await groupsWith('--initgroups'), [12399, UNPRIVILEGED.gid].toSorted())
  })
}

testRoot('a number that the system does not know needs a group beside it', async (t) => {
  const options = (...more: string[]) => ({
    files: { 'app.cjs': WHO },
    args: serveArgs('auto', '-w', '1', '-u', '54321', ...more),
  })
  const refused = startProgram(t, options())
  t.is(await refused.exited, 1)
  await refused.line(/user must be a name or number that the system knows, got "54321"/)
  const program = startProgram(t, options('-g', '12345'))
  chmodSync(program.directory, 0o755)
  await program.ready(1)
  const { uid, gid, groups } = JSON.parse((await program.get()).body)
  t.deepEqual([uid, gid, groups], [54321, 12345, [12345]])
})

testRoot("without the addon a number is looked up in the system's own file", async (t) => {
  const program = startProgram(t, {
    files: { ...WITHOUT_ADDON.files, 'app.cjs': WHO },
    env: WITHOUT_ADDON.env,
    args: serveArgs('node', '-w', '1', '-u', String(UNPRIVILEGED.uid)),
  })
  chmodSync(program.directory, 0o755)
  await program.ready(1)
  const { uid, gid } = JSON.parse((await program.get()).body)
  t.deepEqual([uid, gid], [UNPRIVILEGED.uid, UNPRIVILEGED.gid])
})

test.serial('an unknown user fails the start, and a reload keeps the old workers', async (t) => {
  const files = { 'app.cjs': appSource('1') }
  const bad = startProgram(t, { files, args: serveArgs('auto', '-u', 'no-such-user') })
  t.is(await bad.exited, 1)
  await bad.line(/user must be a name or number that the system knows, got "no-such-user"/)
  const config = (more: object) =>
    JSON.stringify({ app: './app.cjs', bind: ['127.0.0.1:0'], ...more })
  const program = startProgram(t, {
    files: { ...files, 'monoceros.config.json': config({}) },
    args: ['--log-level', 'debug'],
  })
  await program.ready(1)
  program.write('monoceros.config.json', config({ group: 'no-such-group' }))
  program.signal('SIGHUP')
  await program.line(/group must be a name or number/)
  await program.line(/Reload failed; the old workers keep serving/)
  t.is((await program.who()).version, '1')
})

test.serial('the file of a unix socket has a mode according to umask', async (t) => {
  for (const [umask, mode] of [
    ['0', 0o777],
    ['0117', 0o660],
  ] as const) {
    const program = startProgram(t, {
      files: { 'app.cjs': appSource('1') },
      args: [...serveArgs('auto', '-w', '1'), '-b', 'unix:a.sock', '-m', umask],
    })
    await program.ready(1)
    const path = join(program.directory, 'a.sock')
    t.is(statSync(path).mode & 0o777, mode)
    t.is((await get({ socketPath: path })).status, 200)
  }
})

test.serial('workers are nicer and keep to a processor each when they shall', async (t) => {
  const program = startProgram(t, {
    files: { 'app.cjs': appSource('1') },
    args: serveArgs('auto', '-w', '2', '--worker-nice', '5', '--worker-cpu-affinity', 'auto'),
  })
  await program.ready(2)
  for (const pid of program.workers()) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    const own = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? []
    t.is(Number(fields[16]), Math.min(19, Number(own[16]) + 5))
    if (native === null) continue
    const allowed = /Cpus_allowed_list:\s+(\S+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    t.regex(allowed?.[1] ?? '', /^\d+$/)
  }
  await until(async () => (await program.get()).status === 200, 'an answer')
})

function idsOf(name: string): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  return { uid: Number(uid), gid: Number(gid) }
}
