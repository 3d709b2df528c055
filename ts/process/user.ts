/**
 * User and group of the workers. The arbiter keeps its rights, so that it can bind privileged ports
 * and write its pidfile. Each worker drops them before it loads the application, and before it has
 * threads of its own.
 */

import { accessSync, chownSync, closeSync, constants, existsSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'

import { monocerosError } from '../errors.ts'
import { isFifo, openForAppending } from '../log/append.ts'
import { native } from '../native/index.ts'

/** Owner of files that workers use; -1 keeps the user or the group. */
export interface FileOwner {
  readonly uid: number
  readonly gid: number
}

/** Settings that name a user and a group. */
export interface UserSettings {
  readonly user: string | null
  readonly group: string | null
}

const UNCHANGED = -1
/** Largest valid id: an id with all bits set means "unchanged" to the system. */
const MAX_ID = 0xffff_fffe

/**
 * Returns the ids of the settings, or undefined if neither is set. Throws ERR_USER_UNKNOWN for an
 * unknown name.
 */
export function resolveOwner({ user, group }: UserSettings): FileOwner | undefined {
  if (user === null && group === null) return undefined
  const gid = group === null ? undefined : groupId(group)
  if (user === null) return { uid: UNCHANGED, gid: gid ?? UNCHANGED }
  // A number needs no entry in the user database if the group does not come from there.
  const uid = parseId(user)
  if (uid !== undefined && gid !== undefined) return { uid, gid }
  const ids = userIds(user)
  return { uid: ids.uid, gid: gid ?? ids.gid }
}

/** Switches this process to the user and the group for good. */
export function switchUser(settings: UserSettings & { readonly initgroups: boolean }): void {
  const owner = resolveOwner(settings)
  if (owner === undefined) return
  const { uid, gid } = owner
  try {
    if (settings.initgroups && settings.user !== null) {
      initgroups(settings.user, gid === UNCHANGED ? (process.getgid?.() ?? 0) : gid)
    } else if (process.getuid?.() === 0 && uid > 0) {
      // The supplementary groups of root would stay otherwise, as they do in Gunicorn.
      process.setgroups?.(gid === UNCHANGED ? [] : [gid])
    }
    if (gid !== UNCHANGED && gid !== process.getgid?.()) process.setgid?.(gid)
    if (uid !== UNCHANGED && uid !== process.getuid?.()) process.setuid?.(uid)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    const named = describeOwner(settings.user, settings.group)
    throw monocerosError('ERR_USER', 'switch to', named, problem).withCause(cause)
  }
}

/**
 * Throws ERR_SETTING_ITEM if this process, which has switched to the user, cannot read one of the
 * directories. Node would report a module that does not exist.
 */
export function assertReadable({ user }: UserSettings, directories: readonly string[]): void {
  if (user === null) return
  for (const directory of directories) {
    const denied = findDenied(directory)
    if (denied === undefined) continue
    const problem =
      `this user has no access to ${denied}, so it cannot read ${directory}. ` +
      'Move the files, permit access to each directory of the path (chmod o+rx), or change user'
    throw monocerosError('ERR_SETTING_ITEM', 'user', JSON.stringify(user), problem)
  }
}

/** Returns the first directory of a path that this process cannot enter, or the last unread one. */
function findDenied(directory: string): string | undefined {
  const parent = dirname(directory)
  const denied = parent === directory ? undefined : findDenied(parent)
  if (denied !== undefined) return denied
  return isAccessible(directory) || !existsSync(directory) ? undefined : directory
}

function isAccessible(directory: string): boolean {
  try {
    accessSync(directory, constants.X_OK)
    return true
  } catch {
    // The system has no other way to ask.
    return false
  }
}

/** Gives a file to the user of the workers, if this process may. */
export function changeOwner(path: string, { uid, gid }: FileOwner): void {
  try {
    chownSync(path, uid, gid)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    const owner = describeOwner(...[uid, gid].map((id) => (id === UNCHANGED ? null : String(id))))
    throw monocerosError('ERR_USER', `give ${path} to`, owner, problem).withCause(cause)
  }
}

function describeOwner(user: string | null = null, group: string | null = null): string {
  return [user === null ? [] : [`user "${user}"`], group === null ? [] : [`group "${group}"`]]
    .flat()
    .join(' and ')
}

/** Creates a log file and gives it to the user of the workers, so that they can open it. */
export function prepareLogFile(path: string, owner: FileOwner | undefined): void {
  if (owner === undefined) return
  // Opening a FIFO here would show its reader an end of file right away.
  if (!isFifo(path)) closeSync(openForAppending(path))
  changeOwner(path, owner)
}

// The user's primary group is used, as in systemd. In Gunicorn the workers keep the group of root.
function userIds(user: string): FileOwner {
  const uid = parseId(user)
  const ids = uid === undefined ? idsByName(user) : idsByNumber(uid)
  if (ids === null || ids === undefined) throw monocerosError('ERR_USER_UNKNOWN', 'user', user)
  return ids
}

function idsByName(user: string): FileOwner | null | undefined {
  return native === null ? findInPasswd(([name]) => name === user) : native.userIds(user)
}

function idsByNumber(uid: number): FileOwner | null | undefined {
  if (native !== null) return native.userIdsByUid(uid)
  return findInPasswd((entry) => entry[2] === String(uid))
}

function groupId(group: string): number {
  const number = parseId(group)
  if (number !== undefined) return number
  const gid = native === null ? findInGroups(group) : native.groupId(group)
  if (gid === undefined || gid === null) throw monocerosError('ERR_USER_UNKNOWN', 'group', group)
  return gid
}

function parseId(text: string): number | undefined {
  return /^\d+$/.test(text) && Number(text) <= MAX_ID ? Number(text) : undefined
}

// Node's types lack it. initgroups(3) takes a name, which Node looks up for a number.
function initgroups(user: string, gid: number): void {
  const userOrId = /^\d+$/.test(user) ? Number(user) : user
  Reflect.apply(Reflect.get(process, 'initgroups'), process, [userOrId, gid])
}

// Without the addon these are read from files of the system, not from LDAP or other databases.
function findInPasswd(isWanted: (entry: string[]) => boolean): FileOwner | undefined {
  const [, , uid, gid] = findEntry('/etc/passwd', isWanted) ?? []
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

function findInGroups(group: string): number | undefined {
  const gid = findEntry('/etc/group', ([name]) => name === group)?.[2]
  return gid === undefined ? undefined : Number(gid)
}

function findEntry(path: string, isWanted: (entry: string[]) => boolean): string[] | undefined {
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.map((line) => line.split(':')).find(isWanted)
}
