/** A generation: one reading of the settings with the sockets they name. A reload makes a new one beside the old. */

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
import { openTls } from './tls.ts'
import type { InheritedListener } from './upgrade-state.ts'

export interface Generation {
  readonly number: number
  readonly config: Config
  /** The settings that the operator gave, from wherever. */
  readonly givenSettings: readonly string[]
  /** Where the settings were read from, for the workers' hooks. */
  readonly configFile?: string | undefined
  readonly listeners: readonly Listener[]
  /** Where the names of syslog and statsd led to when the settings were read. */
  readonly collectorAddresses?: CollectorAddresses
  /** What TLS needs, if any of the listeners speaks it. */
  readonly watchedTls?: WatchedTlsFiles | undefined
  /** Of all generations of this arbiter. */
  readonly ticketSecrets: TicketSecrets
}

/** Whether TLS is spoken at a listener: its address may say so, else it is where there is a certificate. */
export function isTlsListener(listener: Listener, tls: WatchedTlsFiles | undefined): boolean {
  return tls !== undefined && canUseTls(listener)
}

/** Whether TLS is spoken there once there is a certificate. */
export function canUseTls({ bind, port }: Listener): boolean {
  return port !== undefined && !bind.trim().startsWith('http://')
}

/** The address of a listener, as in the log. */
export function displayAddress(
  listener: Listener,
  { watchedTls }: Pick<Generation, 'watchedTls'>,
): string {
  return isTlsListener(listener, watchedTls)
    ? listener.address.replace(/^http:/, 'https:')
    : listener.address
}

/** All of them, in one text. */
export function displayAddresses(generation: Generation): string {
  return generation.listeners.map((listener) => displayAddress(listener, generation)).join(',')
}

/** Opens the addresses that the earlier generation has not; the others are shared with it. */
export type OpenGeneration = (
  resolved: ResolvedConfig,
  earlier: Generation | undefined,
) => Promise<Generation>

/** Sockets that this process was started with, for the first generation. */
export interface InheritedSockets {
  readonly listeners: readonly InheritedListener[]
  /** systemd has opened them: they are all that is listened on, whatever `bind` says. */
  readonly isSocketActivated: boolean
}

/** Opens real sockets; after a failure none of those opened for this generation stays open. */
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
    const kept =
      earlier?.listeners ?? inherited.listeners.map((handed) => adoptListener(handed, options))
    const binds = inherited.isSocketActivated ? kept.map(({ bind }) => bind) : config.bind
    const opened: Listener[] = []
    const listeners: Listener[] = []
    try {
      for (const bind of binds) {
        const free = kept.filter((listener) => !includesSocket(listeners, listener))
        const known = await findListener(free, bind, options)
        const listener = known ?? (await openListener({ ...context, held: kept }, bind, options))
        if (known === undefined) opened.push(listener)
        // The words say more than the address: whether TLS is spoken there.
        listeners.push({ ...listener, bind })
      }
    } catch (error) {
      for (const listener of opened) listener.close({ unlink: true })
      throw error
    }
    if (earlier === undefined) closeUnusedListeners(kept, listeners)
    const number = (earlier?.number ?? 0) + 1
    const facts = {
      number,
      config,
      givenSettings: namesOfGivenSettings(origins),
      configFile,
      collectorAddresses,
    }
    return { ...facts, listeners, watchedTls, ticketSecrets }
  }
}

function namesOfGivenSettings(origins: ResolvedConfig['origins']): string[] {
  return Object.entries(origins).flatMap(([name, origin]) => (origin === 'default' ? [] : [name]))
}

// The older arbiter still serves on them.
function closeUnusedListeners(handed: readonly Listener[], used: readonly Listener[]): void {
  for (const listener of handed) {
    if (!includesSocket(used, listener)) listener.close({ unlink: false })
  }
}

/** Whether a socket is one of these, whatever words its address was given in. */
export function includesSocket(listeners: readonly Listener[], { fd }: Listener): boolean {
  return listeners.some((listener) => listener.fd === fd)
}

/** Gives the sockets that stay what the new settings say of them. */
export function updateSharedListeners(
  { config, listeners }: Generation,
  previous: Generation,
): void {
  const [options, before] = [listenOptions(config), listenOptions(previous.config)]
  for (const listener of listeners) {
    if (includesSocket(previous.listeners, listener)) listener.applyOptions(options, before)
  }
}

/** Closes what one generation has and another has not. */
export function closeListenersExcept(
  generation: Generation,
  kept: Generation | undefined,
  how: { unlink: boolean },
): void {
  for (const listener of generation.listeners) {
    if (!includesSocket(kept?.listeners ?? [], listener)) listener.close(how)
  }
}

function listenOptions({ backlog, reuse_port, chdir, umask, user, group }: Config): ListenOptions {
  return { backlog, reusePort: reuse_port, chdir, umask, owner: resolveOwner({ user, group }) }
}
