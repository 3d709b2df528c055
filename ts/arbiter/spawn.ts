/**
 * Starts a worker process: the descriptors that it inherits, its environment and its boot message.
 */

import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { WORKER_HOOKS } from '../hooks/table.ts'
import type { SpawnAdditions } from '../hooks/types.ts'
import { type BootMessage, DESCRIPTOR_CHANNEL_FD } from '../messages.ts'
import { native } from '../native/index.ts'
import { formatInspectFlag } from '../process/inspect.ts'
import type { Child, System } from '../process/system.ts'
import { formatProcessTitle } from '../process/title.ts'
import type { ArbiterScoreboard } from '../scoreboard/board.ts'
import type { Config } from '../settings/config.ts'
import { memoryLimit } from '../settings/cpus.ts'
import { canUseTls, formatListenerAddress, type Generation, isTlsListener } from './generation.ts'
import { chooseHeapFlags } from './heap.ts'

// The file has the extension of this one: .ts when the sources run, .js in dist/.
const WORKER_SCRIPT = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../worker/main.ts' : '../worker/main.js',
    import.meta.url,
  ),
)

const STDOUT_FD = 1
const STDERR_FD = 2

/** Starts the process of one worker, which then waits for its boot message. */
export function spawnWorker(
  system: System,
  { board, generation, slot }: { board: ArbiterScoreboard; generation: Generation; slot: number },
  additions: SpawnAdditions = {},
): Child {
  const { config, listeners } = generation
  return system.spawn({
    script: WORKER_SCRIPT,
    title: formatProcessTitle('worker', getInstanceName(config)),
    env: { ...workerEnvironment(system.env, generation, slot), ...additions.env },
    cwd: resolve(config.chdir),
    extraFds: [
      board.fd ?? ('ignore' as const),
      // Only the addon can send a descriptor to a running process.
      native === null ? ('ignore' as const) : ('pipe' as const),
      ...[...listeners.map(({ fd }) => fd), ...board.kickFds],
      ...transferFdsOf(board, config, slot),
      // Where the worker writes logs that go to standard output or standard error, which are
      // captured.
      ...(config.capture_output ? [STDOUT_FD, STDERR_FD] : []),
    ],
    capturesOutput: config.capture_output,
    nodeFlags: [
      ...chooseHeapFlags(config, system.env, memoryLimit()),
      ...inspectFlags(config, slot),
    ],
    ...(config.worker_nice === 0 ? {} : { nice: config.worker_nice }),
    ...(config.worker_cpu_affinity === 'off' ? {} : { processorIndex: slot - 1 }),
  })
}

/** Returns the sockets for transferred connections: the worker's inbox, then all outboxes. */
function transferFdsOf(board: ArbiterScoreboard, { affinity }: Config, slot: number): number[] {
  const fds = affinity === 'off' ? undefined : board.transferFds()
  return fds === undefined ? [] : [...fds.inboxes.slice(slot - 1, slot), ...fds.outboxes]
}

/** Contents of the boot message that do not come from the generation. */
export interface BootDetails {
  readonly slotGeneration: number
  readonly isCheck: boolean
  readonly age: number
  readonly requestLimit: number
  readonly hasServedBefore?: boolean
}

/** Creates the boot message. The descriptors have the numbers that they get in the worker. */
export function createBootMessage(
  { board, generation, slot }: { board: ArbiterScoreboard; generation: Generation; slot: number },
  { slotGeneration, isCheck, age, requestLimit, hasServedBefore = false }: BootDetails,
): BootMessage {
  const firstListener = DESCRIPTOR_CHANNEL_FD + 1
  const firstKick = firstListener + generation.listeners.length
  const firstTransfer = firstKick + board.kickFds.length
  const [inbox, ...outboxes] = transferFdsOf(board, generation.config, slot).map(
    (_, index) => firstTransfer + index,
  )
  const firstOutput = firstTransfer + outboxes.length + (inbox === undefined ? 0 : 1)
  return {
    type: 'boot',
    slot,
    slotGeneration,
    config: generation.config,
    givenSettings: generation.givenSettings,
    collectorAddresses: generation.collectorAddresses ?? {},
    listeners: generation.listeners.map((listener, index) => ({
      fd: firstListener + index,
      address: formatListenerAddress(listener, generation),
      isSecure: isTlsListener(listener, generation.watchedTls),
      canBeSecure: canUseTls(listener),
    })),
    ...(generation.watchedTls === undefined ? {} : { tls: generation.watchedTls.material }),
    // The application may bring a certificate of its own.
    ticketSecrets: generation.listeners.some(canUseTls) ? generation.ticketSecrets.secrets : [],
    kickFds: board.kickFds.map((_, index) => firstKick + index),
    ...(inbox === undefined ? {} : { transfers: { inbox, outboxes } }),
    ...(generation.config.capture_output
      ? { capturedOutputFds: { stdout: firstOutput, stderr: firstOutput + 1 } }
      : {}),
    slotCount: board.slotCount,
    age,
    requestLimit,
    hasServedBefore,
    hookNames: WORKER_HOOKS.filter((name) => (generation.config[name] ?? null) !== null),
    ...(generation.configFile === undefined ? {} : { configFile: generation.configFile }),
    isCheck,
  }
}

// With `inspect_brk` the worker opens the port itself, right before it waits for the debugger.
function inspectFlags({ inspect, inspect_brk }: Config, slot: number): string[] {
  if (inspect === null || inspect_brk !== null) return []
  return [formatInspectFlag(inspect, slot)]
}

/** Returns the name that process titles show in brackets. */
export function getInstanceName({ proc_name, app }: Config): string {
  return proc_name ?? app ?? 'monoceros'
}

// Variables that describe sockets of systemd and of the arbiter, which are not the worker's.
const REMOVED_VARIABLES = [
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
]

function workerEnvironment(
  own: NodeJS.ProcessEnv,
  { config, listeners }: Generation,
  slot: number,
): NodeJS.ProcessEnv {
  const port = listeners.find((listener) => listener.port !== undefined)?.port
  const env: NodeJS.ProcessEnv = { ...own }
  for (const name of REMOVED_VARIABLES) delete env[name]
  // The arbiter's own debugger uses the port.
  if (env.NODE_OPTIONS !== undefined) env.NODE_OPTIONS = removeInspectFlags(env.NODE_OPTIONS)
  const [, password] = /^env:(.+)$/.exec(config.keyfile_password ?? '') ?? []
  if (password !== undefined) delete env[password]
  // Programs print the port of this variable as the one that they listen on.
  if (port !== undefined) env.PORT = String(port)
  for (const entry of config.raw_env) {
    const equals = entry.indexOf('=')
    env[entry.slice(0, equals)] = entry.slice(equals + 1)
  }
  env.MONOCEROS_WORKER = String(slot)
  // Programs written for pm2 read their instance number from this variable, counted from 0.
  env.NODE_APP_INSTANCE = String(slot - 1)
  return env
}

function removeInspectFlags(options: string): string {
  const valued = /(?:^|\s)--(?:inspect-port|debug-port|inspect-publish-uid)(?:=|\s+)\S+/g
  return options
    .replaceAll(valued, '')
    .replaceAll(/(?:^|\s)--inspect(?:-\w+)?(?:=\S*)?(?=\s|$)/g, '')
}
