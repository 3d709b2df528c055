/** Loads the application and finds out how to serve it: Node style, fetch style or exchanges. */

import type { Target } from '../engine/engine.ts'
import { monocerosError } from '../errors.ts'
import { detectTarget } from '../http/detect.ts'
import { installMethods } from '../http/node/install.ts'
import { captureListen } from '../http/node/listen.ts'
import type { BootMessage } from '../messages.ts'
import { native } from '../native/index.ts'
import { loadApplication } from './app.ts'
import { awaitListen, countResourcesAtStart } from './await-listen.ts'
import type { ClusterUse } from './cluster.ts'
import type { ExtraServers } from './extra-listeners.ts'

/** Part of `boot_timeout` that is kept for the report that the program never called `listen()`. */
const REPORTING_TIME_MS = 1_000

/** A loaded application: how to serve it, and the exports of its module. */
export interface LoadedTarget {
  readonly target: Target
  readonly exports: unknown
}

/** Loads the application, and waits for its `listen()` if it exports none. */
export async function loadTarget(
  { config, listeners }: BootMessage,
  { extraServers, clusterUse }: { extraServers: ExtraServers; clusterUse: ClusterUse },
): Promise<LoadedTarget> {
  const publicAddress = listeners[0]?.address ?? 'http://127.0.0.1:8000'
  // Before the application is loaded: a tracer that patches Node's methods then wraps ours.
  if (native !== null && config.engine !== 'node') installMethods()
  const captured = captureListen({
    ...{ publicAddress, listenPort: config.listen_port },
    createExtraHandle: (server, call, flags) => extraServers.createHandle(server, call, flags),
  })
  const baseline = countResourcesAtStart()
  const { exports, exportName } = await loadApplication(
    config.app ?? '',
    config.chdir,
    config.app_args,
  )
  const detect = async () => ({
    exports,
    target: await detectTarget(exports, {
      ...{ exportName, workerClass: config.worker_class, captured },
    }),
  })
  if (exportName !== undefined || captured.server !== undefined) return detect()
  try {
    return await detect()
  } catch (error) {
    // The program exports no application: it may call `listen()` later.
    await awaitListen(captured, baseline, config.boot_timeout * 1_000 - REPORTING_TIME_MS)
    if (captured.server === undefined)
      throw clusterUse.hasForked() ? monocerosError('ERR_APP_CLUSTER') : error
    return detect()
  }
}
