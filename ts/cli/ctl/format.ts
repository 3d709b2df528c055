/** Shows the answer to each command as text. */

import type { CommandName } from '../../control/commands.ts'
import type {
  ChangeReport,
  FileReport,
  InspectReport,
  ListenerReport,
  LoadReport,
  SettingReport,
  StatsReport,
  StatusReport,
  WorkerReport,
} from '../../control/reports.ts'
import {
  colorize,
  cutLine,
  escapeControls,
  formatBytes,
  formatDuration,
  formatEntries,
  formatPairs,
  formatTable,
  type Style,
} from '../../text/format.ts'

import { compareLoads, formatTop } from './top.ts'

/** The type of the data that each command answers with. */
interface CommandData {
  readonly status: StatusReport
  readonly workers: readonly WorkerReport[]
  readonly stats: StatsReport
  readonly top: LoadReport
  readonly config: readonly SettingReport[]
  readonly listeners: readonly ListenerReport[]
  readonly reload: ChangeReport
  readonly reopen: ChangeReport
  readonly scale: ChangeReport
  readonly worker: ChangeReport
  readonly profile: FileReport
  readonly 'heap-snapshot': FileReport
  readonly inspect: InspectReport
  readonly shutdown: ChangeReport
  readonly logs: null
  readonly help: readonly { readonly command: string; readonly doc: string }[]
}

const HELP_COLUMNS = 19

type Formatter<Name extends CommandName> = (data: CommandData[Name], style: Style) => string

const FORMATTERS: { readonly [Name in CommandName]: Formatter<Name> } = {
  status: formatStatus,
  workers: formatWorkers,
  stats: formatStats,
  // `runCommand` shows two readings as one table.
  top: (load, style) => formatTop(compareLoads(load, load), style),
  config: formatConfig,
  listeners: formatListeners,
  reload: formatChange,
  reopen: formatChange,
  scale: formatChange,
  worker: formatChange,
  profile: formatFile,
  'heap-snapshot': formatFile,
  inspect: formatChange,
  shutdown: formatChange,
  logs: () => '',
  help: formatHelp,
}

/** Returns the data of a command as text. */
export function formatAnswer(command: CommandName, data: unknown, style: Style): string {
  // The server has the same table of commands, so the data has the type of its command.
  const format = FORMATTERS[command] as (data: unknown, style: Style) => string
  return format(data, style)
}

function formatStatus(status: StatusReport, style: Style): string {
  const { workers } = status
  const counts = [
    `${workers.serving} of ${workers.wanted} serving`,
    workers.booting > 0 ? `${workers.booting} booting` : '',
    workers.stopping > 0 ? `${workers.stopping} stopping` : '',
  ]
  const isHealthy = workers.serving >= workers.wanted && status.phase !== 'stopping'
  const pairs: (readonly [string, string])[] = [
    ['application', status.name === null ? status.app : `${status.app} (${status.name})`],
    ['arbiter', `pid ${status.pid}, monoceros ${status.version}`],
    ['phase', status.phase],
    ['workers', counts.filter((text) => text !== '').join(', ')],
    ['in flight', String(status.inFlight)],
    ['uptime', formatDuration(status.uptime)],
    ['engine', status.engine],
    ['generation', `${status.generation}, last reload: ${status.lastReload ?? 'none'}`],
    ...status.addresses.map((address) => ['address', address] as const),
    ...(status.successor === null ? [] : [['new arbiter', `pid ${status.successor}`] as const]),
    ...(status.predecessor === null ? [] : [['old arbiter', `pid ${status.predecessor}`] as const]),
  ]
  const text = formatPairs(
    pairs.map(([name, value]) => [name, escapeControls(value)] as const),
    style,
  )
  const word = isHealthy ? colorize('serving', 'green', style) : colorize('degraded', 'red', style)
  return `${text}${colorize('health', 'bold', style)}       ${word}\n`
}

function formatWorkers(workers: readonly WorkerReport[], style: Style): string {
  const heading = [
    'PID',
    'SLOT',
    'STATE',
    'UPTIME',
    'REQUESTS',
    'FLIGHT',
    'CONNS',
    'BEAT',
    'MEMORY',
  ]
  const rows = workers.map((worker) => [
    String(worker.pid),
    String(worker.slot),
    worker.leads && worker.state === 'serving' ? 'leading' : worker.state,
    formatDuration(worker.uptime),
    String(worker.requests),
    String(worker.inFlight),
    String(worker.connections),
    worker.heartbeatAge === null ? '-' : formatDuration(worker.heartbeatAge),
    worker.memory === null ? '-' : formatBytes(worker.memory),
  ])
  return formatTable([heading, ...rows], style)
}

function formatStats(stats: StatsReport, style: Style): string {
  const { totals } = stats
  const latency = totals?.latency
  const perSecond = stats.uptime > 0 ? stats.requests / stats.uptime : 0
  const known: (readonly [string, string])[] =
    totals === null
      ? []
      : [
          [
            'status',
            Object.entries(totals.status)
              .map(([name, n]) => `${name}: ${n}`)
              .join(', '),
          ],
          ['accepted', `${totals.accepted} connections`],
          ['received', formatBytes(totals.bytesIn)],
          ['sent', formatBytes(totals.bytesOut)],
        ]
  const times: (readonly [string, string])[] =
    latency === null || latency === undefined
      ? []
      : [
          ['latency', `mean ${formatDuration(latency.mean)}`],
          ['', `p50 ${formatDuration(latency.p50)}, p99 ${formatDuration(latency.p99)}`],
        ]
  return formatPairs(
    [
      ['uptime', formatDuration(stats.uptime)],
      ['requests', `${stats.requests}, ${perSecond.toFixed(1)} per second`],
      ...known,
      ...times,
      ['in flight', String(stats.inFlight)],
      ['connections', String(stats.connections)],
      ['workers', `${stats.workersStarted} started since the start`],
      ['reloads', `${stats.reloads.complete} complete, ${stats.reloads.failed} failed`],
    ],
    style,
  )
}

function formatConfig(settings: readonly SettingReport[], { columns }: Style): string {
  const width = Math.max(...settings.map(({ name }) => name.length))
  return settings
    .map(({ name, value, origin }) => `${name.padEnd(width)} = ${value}  # ${origin}`)
    .map((line) => `${cutLine(escapeControls(line), columns)}\n`)
    .join('')
}

function formatListeners(listeners: readonly ListenerReport[], style: Style): string {
  const rows = listeners.map(({ address, by, isSecure, pending }) => [
    escapeControls(address),
    by,
    isSecure ? 'yes' : 'no',
    pending === null ? '-' : String(pending),
  ])
  return formatTable([['ADDRESS', 'BY', 'TLS', 'PENDING'], ...rows], style)
}

function formatChange({ message }: ChangeReport): string {
  return `${escapeControls(message)}\n`
}

function formatFile({ message, bytes }: FileReport): string {
  return `${escapeControls(message)} (${formatBytes(bytes)})\n`
}

function formatHelp(commands: CommandData['help']): string {
  return formatEntries(
    commands.map(({ command, doc }) => [command, doc] as const),
    HELP_COLUMNS,
  )
}
