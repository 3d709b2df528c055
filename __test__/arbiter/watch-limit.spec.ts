// A system that can watch no more files, as it is at `fs.inotify.max_user_watches`. In a process of
// its own, since it replaces `fs.watch`.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import test from 'ava'

import { openSourceWatch } from '../../ts/arbiter/source-watch.ts'
import { until } from '../process/program.ts'
import { temporaryDirectory } from '../temporary.ts'
import { usesLog } from '../uses.ts'
import { fakeLog } from './fake-system.ts'

test('a directory that cannot be watched is named in the log', async (t) => {
  fs.watch = () => {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  }
  syncBuiltinESMExports()
  const cwd = temporaryDirectory('watch')
  const log: string[] = []
  usesLog(t, () => log.join('\n'))
  const watch = await openSourceWatch(
    { reload_engine: 'fs.watch', reload_extra_files: [cwd], chdir: cwd },
    { log: fakeLog(log), cwd, configFile: undefined, onChange: () => {} },
  )
  t.teardown(() => watch.close())
  await until(() => log.some((line) => line.startsWith('warning')), 'the warning')
  t.true(
    log.includes(
      `warning Cannot watch ${cwd}/** for changes: Error: ENOSPC: no space left on device`,
    ),
  )
})
