// Random signals under load end in a good state: the configured number of workers and no other
// process. scripts/soak.ts runs more of it.

import test from 'ava'

import { family, sendChaos, settleAfterChaos } from './chaos.ts'
import { startLoad } from './load.ts'
import { appSource, serveArgs, startProgram, until } from './program.ts'

test.serial('40 random signals to arbiter and workers end in a good state', async (t) => {
  const name = `chaos-${process.pid}`
  const args = serveArgs('auto', '-w', '2', '-n', name, '--graceful-timeout', '5')
  const program = await startProgram(t, { files: { 'app.cjs': appSource('1') }, args }).ready(2)
  const stop = startLoad({ port: program.port, keepAlive: 4, fresh: 2 })
  const sent = await sendChaos(program, { seed: 11, signals: 40, pauseMs: 60, name })
  t.log(sent.join(', '))
  await settleAfterChaos(program, { name, workers: 2 })
  await stop()
  t.is((await program.who()).version, '1')
  program.signal('SIGTERM')
  t.is(await program.exited, 0)
  await until(() => Object.values(family(program, name)).flat().length === 0, 'everybody to end')
})
