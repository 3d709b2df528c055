/**
 * A generation: the settings of one start or reload, with the listening sockets that they name. A
 * reload opens a new generation beside the current one.
 */

import {
  adoptListener,
  findListener,
  type Listener,
  type ListenOptions,
  openListener,
} from '../listen/socket.ts'
import { type CollectorAddresses, resolveCollectors } from '../log/collectors.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { resolveOwner } from '../process/user.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import { TicketSecrets } from '../tls/tickets.ts'
import type { WatchedTlsFiles } from '../tls/watched-files.ts'
import type { ArbiterHooks } from './hooks.ts'
import { adoptMetricsListener, openMetricsListener } from './monitoring/metrics-listener.ts'
import { openTls } from './tls.ts'
import type { InheritedListener } from './upgrade-state.ts'

/** The settings of one start or reload, and everything that was opened for them. */
export interface Generation {
  readonly number: number
  readonly config: Config
  /** Names of the settings that the operator has set, from any source. */
  readonly givenSettings: readonly string[]
  /** Origin of each setting. */
  readonly origins?: ResolvedConfig['origins']
  /** Path of the config file, from which the workers load their hooks. */
  readonly configFile?: string | undefined
  readonly listeners: readonly Listener[]
  /** Socket of `metrics_bind`, which no worker has. */
  readonly metricsListener?: Listener | undefined
  /** Addresses of syslog and statsd as they resolved when the settings were read. */
  readonly collectorAddresses?: CollectorAddresses
  /** TLS files and their contents; undefined if no listener uses TLS. */
  readonly watchedTls?: WatchedTlsFiles | undefined
  /** Secrets of session ticket keys, shared by all generations of this arbiter. */
  readonly ticketSecrets: TicketSecrets
}

/**
 * Returns whether a listener uses TLS: a certificate is set, and its address does not start with
 * `http://`.
 */
export function isTlsListener(listener: Listener, tls: WatchedTlsFiles | undefined): boolean {
  return tls !== undefined && canUseTls(listener)
}

/** Returns whether a listener uses TLS as soon as a certificate is set. */
export function canUseTls({ bind, port }: Listener): boolean {
  return port !== undefined && !bind.trim().startsWith('http://')
}

/** Returns the address of a listener as the log shows it. */
export function formatListenerAddress(
  listener: Listener,
  { watchedTls }: Pick<Generation, 'watchedTls'>,
): string {
  return isTlsListener(listener, watchedTls)
    ? listener.address.replace(/^http:/, 'https:')
    : listener.address
}

/** Returns the addresses of all listeners as the log shows them, separated by commas. */
export function formatListenerAddresses(generation: Generation): string {
  return generation.listeners
    .map((listener) => formatListenerAddress(listener, generation))
    .join(',')
}

/**
 * Opens the addresses that the earlier generation does not have. Both generations share the other
 * sockets.
 */
export type OpenGeneration = (
  resolved: ResolvedConfig,
  earlier: Generation | undefined,
) => Promise<Generation>

/** Listening sockets that this process was started with, for the first generation. */
export interface InheritedSockets {
  readonly listeners: readonly InheritedListener[]
  /** True if systemd has opened the sockets. They are used instead of the setting `bind`. */
  readonly isSocketActivated: boolean
  /** Socket of `metrics_bind`. */
  readonly metrics?: InheritedListener | undefined
}

/**
 * Returns a function that opens the sockets of a generation. If one address fails, it closes those
 * that it has opened.
 */
export function createGenerationOpener(
  context: { system: System; log: Logger; hooks?: ArbiterHooks },
  inherited: InheritedSockets,
): OpenGeneration {
  const ticketSecrets = new TicketSecrets()
  return async ({ values: config, origins, file: configFile }, earlier) => {
    const options = listenOptions(config)
    const watchedTls = openTls(config, {
      ...context,
      sslContext: context.hooks?.findSslContextHook(config),
    })
    const collectorAddresses = await resolveCollectors(config)
    const existing =
      earlier?.listeners ?? inherited.listeners.map((one) => adoptListener(one, options))
    const binds = inherited.isSocketActivated ? existing.map(({ bind }) => bind) : config.bind
    const opened: Listener[] = []
    const listeners: Listener[] = []
    let metricsListener: Listener | undefined
    try {
      for (const bind of binds) {
        const free = existing.filter((listener) => !includesSocket(listeners, listener))
        const known = await findListener(free, bind, options)
        const listener =
          known ?? (await openListener({ ...context, ownListeners: existing }, bind, options))
        if (known === undefined) opened.push(listener)
        // The text of the setting matters beside the address: its scheme selects TLS.
        listeners.push({ ...listener, bind })
      }
      metricsListener = await openMetricsListener(context, config, {
        options,
        known: knownMetrics(earlier) ?? adoptMetricsListener(inherited.metrics, options),
      })
    } catch (error) {
      for (const listener of opened) listener.close({ unlink: true })
      throw error
    }
    if (earlier === undefined) closeUnusedListeners(existing, listeners)
    const number = (earlier?.number ?? 0) + 1
    const facts = {
      number,
      config,
      origins,
      givenSettings: namesOfGivenSettings(origins),
      configFile,
      collectorAddresses,
    }
    return { ...facts, listeners, metricsListener, watchedTls, ticketSecrets }
  }
}

function knownMetrics(earlier: Generation | undefined): Listener[] | undefined {
  if (earlier === undefined) return undefined
  return earlier.metricsListener === undefined ? [] : [earlier.metricsListener]
}

function namesOfGivenSettings(origins: ResolvedConfig['origins']): string[] {
  return Object.entries(origins).flatMap(([name, origin]) => (origin === 'default' ? [] : [name]))
}

// Closes this process's descriptors alone: the older arbiter still serves on the sockets.
function closeUnusedListeners(inherited: readonly Listener[], used: readonly Listener[]): void {
  for (const listener of inherited) {
    if (!includesSocket(used, listener)) listener.close({ unlink: false })
  }
}

/** Returns whether one of the listeners has the same socket, however its address is written. */
export function includesSocket(listeners: readonly Listener[], { fd }: Listener): boolean {
  return listeners.some((listener) => listener.fd === fd)
}

/** Applies the new settings to the sockets that both generations share. */
export function updateSharedListeners(
  { config, listeners }: Generation,
  previous: Generation,
): void {
  const [options, before] = [listenOptions(config), listenOptions(previous.config)]
  for (const listener of listeners) {
    if (includesSocket(previous.listeners, listener)) listener.applyOptions(options, before)
  }
}

/** Closes the sockets of one generation that another one does not share. */
export function closeListenersExcept(
  generation: Generation,
  kept: Generation | undefined,
  how: { unlink: boolean },
): void {
  for (const listener of generation.listeners) {
    if (!includesSocket(kept?.listeners ?? [], listener)) listener.close(how)
  }
  const { metricsListener } = generation
  if (metricsListener?.fd !== kept?.metricsListener?.fd) metricsListener?.close(how)
}

function listenOptions({ backlog, reuse_port, chdir, umask, user, group }: Config): ListenOptions {
  return { backlog, reusePort: reuse_port, chdir, umask, owner: resolveOwner({ user, group }) }
}
