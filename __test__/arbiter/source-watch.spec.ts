// The setting `reload` on real files: no change is missed, even right after another one.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'

import { openSourceWatch } from '../../ts/arbiter/source-watch.ts'
import { until } from '../process/program.ts'
import { fakeLog } from './fake-system.ts'

for (const reload_engine of ['fs.watch', 'poll'] as const) {
  test(`${reload_engine}: a change right after a reported one is reported too`, async (t) => {
    const cwd = mkdtempSync(join(tmpdir(), 'monoceros-watch-'))
    t.teardown(() => rmSync(cwd, { recursive: true }))
    const file = join(cwd, 'monoceros.config.mjs')
    writeFileSync(file, 'export default {}')
    const log: string[] = []
    let reports = 0
    const rounds = 4
    const onChange = () => {
      reports += 1
      if (reports < rounds) writeFileSync(file, `export default { workers: ${reports} }`)
    }
    const watch = await openSourceWatch(
      { reload_engine, reload_extra_files: [], chdir: cwd },
      { log: fakeLog(log), cwd, configFile: file, onChange },
    )
    t.teardown(() => watch.close())
    await until(() => log.length > 0, 'the watch')
    writeFileSync(file, 'export default { workers: 9 }')
    await until(() => reports === rounds, `${rounds} changes`)
    t.is(reports, rounds)
  })
}
