/**
 * The user and group of the workers. The arbiter keeps its own rights, so that it can bind low ports and write its
 * pidfile; each worker gives them up before it loads the application, and before it has threads of its own.
 */

import { chownSync, closeSync, readFileSync } from 'node:fs'

import { monocerosError } from '../errors.ts'
import { isFifo, openForAppending } from '../log/append.ts'
import { native } from '../native/index.ts'

/** Who files of the workers belong to; -1 leaves one of the two as it is. */
export interface FileOwner {
  readonly uid: number
  readonly gid: number
}

export interface UserSettings {
  readonly user: string | null
  readonly group: string | null
}

const UNCHANGED = -1
/** The largest id: to the system, all bits set is "unchanged". */
const MAX_ID = 0xffff_fffe

/** The ids that the settings name, or undefined when they name none; an unknown name is an error. */
export function resolveOwner({ user, group }: UserSettings): FileOwner | undefined {
  if (user === null && group === null) return undefined
  const gid = group === null ? undefined : groupId(group)
  if (user === null) return { uid: UNCHANGED, gid: gid ?? UNCHANGED }
  // A number needs no entry in the system's database where the group does not come from there.
  const uid = parseId(user)
  if (uid !== undefined && gid !== undefined) return { uid, gid }
  const ids = userIds(user)
  return { uid: ids.uid, gid: gid ?? ids.gid }
}

/** Makes this process the user's; for good. */
export function switchUser(settings: UserSettings & { readonly initgroups: boolean }): void {
  const owner = resolveOwner(settings)
  if (owner === undefined) return
  const { uid, gid } = owner
  try {
    if (settings.initgroups && settings.user !== null) {
      initgroups(settings.user, gid === UNCHANGED ? (process.getgid?.() ?? 0) : gid)
    } else if (process.getuid?.() === 0 && uid > 0) {
      // Groups of root would stay otherwise, and Gunicorn's do.
      process.setgroups?.(gid === UNCHANGED ? [] : [gid])
    }
    if (gid !== UNCHANGED && gid !== process.getgid?.()) process.setgid?.(gid)
    if (uid !== UNCHANGED && uid !== process.getuid?.()) process.setuid?.(uid)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_USER', settings.user ?? '', settings.group ?? '', problem).withCause(
      cause,
    )
  }
}

/** Gives a file to the user of the workers, where this process may. */
export function changeOwner(path: string, { uid, gid }: FileOwner): void {
  try {
    chownSync(path, uid, gid)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_USER', String(uid), String(gid), problem).withCause(cause)
  }
}

/** Makes the log files that workers will open, so that they may. */
export function prepareLogFile(path: string, owner: FileOwner | undefined): void {
  if (owner === undefined) return
  // A reader of a FIFO that is let in would see its end at once.
  if (!isFifo(path)) closeSync(openForAppending(path))
  changeOwner(path, owner)
}

// The user's own group comes with the user, as systemd has it: with Gunicorn the workers keep the group of root.
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

// Missing in the types. initgroups(3) wants a name; Node finds it for a number.
function initgroups(user: string, gid: number): void {
  const { initgroups: call } = process as unknown as {
    initgroups(user: string | number, gid: number): void
  }
  call.call(process, /^\d+$/.test(user) ? Number(user) : user, gid)
}

// Without the addon: the system's own files, not LDAP and its like.
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
