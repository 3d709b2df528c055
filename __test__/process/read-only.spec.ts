// A container whose file system cannot be written, without shared memory of its own.

import { spawnSync } from 'node:child_process'
import { needs } from '../requirements.ts'
import { ENGINES, serveArgs, startProgram } from './program.ts'

/** Everything read-only, /tmp and /dev/shm empty besides; then the program. */
const READ_ONLY = `mount --make-rprivate / && mount --bind / / && mount -o remount,bind,ro / &&
  cd "$PWD" && { [ ! -d /dev/shm ] || mount -t tmpfs -o ro none /dev/shm; } && exec "$@"`
const ISOLATED = ['unshare', '--mount', 'sh', '-c', READ_ONLY, 'sh'] as const
const mayIsolate = spawnSync(ISOLATED[0], [...ISOLATED.slice(1), 'true']).status === 0
// Only root may mount, and not in every container.
const testIsolated = needs('the right to mount', mayIsolate)

const APP = `const { writeFileSync } = require('node:fs')
  const attempt = (path) => { try { writeFileSync(path, '') } catch (error) { return error.code } }
  module.exports = (req, res) => res.end([attempt('mark'), attempt('/dev/shm/mark')].join(' '))`

for (const engine of ENGINES) {
  testIsolated(
    `${engine}: a read-only file system and no /dev/shm: start, reload, stop`,
    async (t) => {
      const program = startProgram(t, {
        files: { 'app.cjs': APP },
        args: serveArgs(engine, '-w', '2'),
        command: ISOLATED,
      })
      await program.ready(2)
      t.is((await program.get()).body, 'EROFS EROFS')
      program.signal('SIGHUP')
      await program.line(/Reload complete/)
      t.is((await program.get()).status, 200)
      program.signal('SIGTERM')
      t.is(await program.exited, 0)
      t.false(/WARNING|ERROR/.test(program.log))
    },
  )
}
