/** A generation: one reading of the settings with the sockets they name. A reload makes a new one beside the old. */

import {
  adoptListener,
  findListener,
  type Listener,
  type ListenOptions,
  openListener,
} from '../listen/socket.ts'
import { type Collectors, findCollectors } from '../log/collectors.ts'
import type { Logger } from '../log/logger.ts'
import type { System } from '../process/system.ts'
import { ownerOf } from '../process/user.ts'
import type { Config, ResolvedConfig } from '../settings/config.ts'
import { TicketSecrets } from '../tls/tickets.ts'
import type { WatchedTlsFiles } from '../tls/watched-files.ts'
import type { ArbiterHooks } from './hooks.ts'
import { openTls } from './tls.ts'
import type { HandedListener } from './upgrade-state.ts'

export interface Generation {
  readonly number: number
  readonly config: Config
  /** The settings that the operator gave, from wherever. */
  readonly given: readonly string[]
  /** Where the settings were read from, for the workers' hooks. */
  readonly configFile?: string | undefined
  readonly listeners: readonly Listener[]
  /** Where the names of syslog and statsd led to when the settings were read. */
  readonly collectors?: Collectors
  /** What TLS needs, if any of the listeners speaks it. */
  readonly tls?: WatchedTlsFiles | undefined
  /** Of all generations of this arbiter. */
  readonly ticketSecrets: TicketSecrets
}

/** Whether TLS is spoken at a listener: its address may say so, else it is where there is a certificate. */
export function isSecure(listener: Listener, tls: WatchedTlsFiles | undefined): boolean {
  return tls !== undefined && maySecure(listener)
}

/** Whether TLS is spoken there once there is a certificate. */
export function maySecure({ bind, port }: Listener): boolean {
  return port !== undefined && !bind.trim().startsWith('http://')
}

/** The address of a listener, as in the log. */
export function shownAddress(listener: Listener, { tls }: Pick<Generation, 'tls'>): string {
  return isSecure(listener, tls) ? listener.address.replace(/^http:/, 'https:') : listener.address
}

/** All of them, in one text. */
export function shownAddresses(generation: Generation): string {
  return generation.listeners.map((listener) => shownAddress(listener, generation)).join(',')
}

/** Opens the addresses that the earlier generation has not; the others are shared with it. */
export type OpenGeneration = (
  resolved: ResolvedConfig,
  earlier: Generation | undefined,
) => Promise<Generation>

/** Sockets that this process was started with, for the first generation. */
export interface Inherited {
  readonly listeners: readonly HandedListener[]
  /** systemd has opened them: they are all that is listened on, whatever `bind` says. */
  readonly activated: boolean
}

/** Opens real sockets; after a failure none of those opened for this generation stays open. */
export function generationOpener(
  context: { system: System; log: Logger; hooks?: ArbiterHooks },
  inherited: Inherited,
): OpenGeneration {
  const ticketSecrets = new TicketSecrets()
  return async ({ values: config, origins, file: configFile }, earlier) => {
    const options = listenOptions(config)
    const tls = openTls(config, { ...context, sslContext: context.hooks?.sslContextOf(config) })
    const collectors = await findCollectors(config)
    const kept =
      earlier?.listeners ?? inherited.listeners.map((handed) => adoptListener(handed, options))
    const binds = inherited.activated ? kept.map(({ bind }) => bind) : config.bind
    const opened: Listener[] = []
    const listeners: Listener[] = []
    try {
      for (const bind of binds) {
        const free = kept.filter((listener) => !hasSocket(listeners, listener))
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
    if (earlier === undefined) closeUnused(kept, listeners)
    const number = (earlier?.number ?? 0) + 1
    const facts = { number, config, given: givenNames(origins), configFile, collectors }
    return { ...facts, listeners, tls, ticketSecrets }
  }
}

function givenNames(origins: ResolvedConfig['origins']): string[] {
  return Object.entries(origins).flatMap(([name, origin]) => (origin === 'default' ? [] : [name]))
}

// The older arbiter still serves on them.
function closeUnused(handed: readonly Listener[], used: readonly Listener[]): void {
  for (const listener of handed) {
    if (!hasSocket(used, listener)) listener.close({ unlink: false })
  }
}

/** Whether a socket is one of these, whatever words its address was given in. */
export function hasSocket(listeners: readonly Listener[], { fd }: Listener): boolean {
  return listeners.some((listener) => listener.fd === fd)
}

/** Gives the sockets that stay what the new settings say of them. */
export function takeKept({ config, listeners }: Generation, previous: Generation): void {
  const [options, before] = [listenOptions(config), listenOptions(previous.config)]
  for (const listener of listeners) {
    if (hasSocket(previous.listeners, listener)) listener.take(options, before)
  }
}

/** Closes what one generation has and another has not. */
export function closeExcept(
  generation: Generation,
  kept: Generation | undefined,
  how: { unlink: boolean },
): void {
  for (const listener of generation.listeners) {
    if (!hasSocket(kept?.listeners ?? [], listener)) listener.close(how)
  }
}

function listenOptions({ backlog, reuse_port, chdir, umask, user, group }: Config): ListenOptions {
  return { backlog, reusePort: reuse_port, chdir, umask, owner: ownerOf({ user, group }) }
}
