/**
 * The user and group of the workers. The arbiter keeps its own rights, so that it can bind low ports and write its
 * pidfile; each worker gives them up before it loads the application, and before it has threads of its own.
 */

import { chownSync, closeSync, openSync, readFileSync } from 'node:fs'

import { monocerosError } from '../errors.ts'
import { native } from '../native/index.ts'

/** Who files of the workers belong to; -1 leaves one of the two as it is. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

export interface UserSettings {
  readonly user: string | null
  readonly group: string | null
}

const UNCHANGED = -1

/** The ids that the settings name, or undefined when they name none; an unknown name is an error. */
export function ownerOf({ user, group }: UserSettings): Owner | undefined {
  if (user === null && group === null) return undefined
  const ids = user === null ? { uid: UNCHANGED, gid: UNCHANGED } : userIds(user)
  return { uid: ids.uid, gid: group === null ? ids.gid : groupId(group) }
}

/** Makes this process the user's; for good. */
export function becomeUser(settings: UserSettings & { readonly initgroups: boolean }): void {
  const owner = ownerOf(settings)
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
    throw monocerosError('ERR_USER', settings.user ?? '', settings.group ?? '', problem).causedBy(
      cause,
    )
  }
}

/** Gives a file to the user of the workers, where this process may. */
export function giveAway(path: string, { uid, gid }: Owner): void {
  try {
    chownSync(path, uid, gid)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw monocerosError('ERR_USER', String(uid), String(gid), problem).causedBy(cause)
  }
}

/** Makes the log files that workers will open, so that they may. */
export function prepareFile(path: string, owner: Owner | undefined): void {
  if (owner === undefined) return
  closeSync(openSync(path, 'a', 0o644))
  giveAway(path, owner)
}

// The user's own group comes with the user, as systemd has it: with Gunicorn the workers keep the group of root.
function userIds(user: string): Owner {
  if (/^\d+$/.test(user)) return { uid: Number(user), gid: UNCHANGED }
  const ids = native === null ? fromPasswd(user) : native.userIds(user)
  if (ids === null || ids === undefined) throw monocerosError('ERR_USER_UNKNOWN', 'user', user)
  return ids
}

function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group)
  const gid = native === null ? fromGroups(group) : native.groupId(group)
  if (gid === undefined || gid === null) throw monocerosError('ERR_USER_UNKNOWN', 'group', group)
  return gid
}

// Missing in the types. initgroups(3) wants a name; Node finds it for a number.
function initgroups(user: string, gid: number): void {
  const { initgroups: call } = process as unknown as {
    initgroups(user: string | number, gid: number): void
  }
  call.call(process, /^\d+$/.test(user) ? Number(user) : user, gid)
}

// Without the addon: the system's own files, not LDAP and its like.
function fromPasswd(name: string): Owner | undefined {
  const [, , uid, gid] = entryOf('/etc/passwd', name) ?? []
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

function fromGroups(name: string): number | undefined {
  const gid = entryOf('/etc/group', name)?.[2]
  return gid === undefined ? undefined : Number(gid)
}

function entryOf(path: string, name: string): string[] | undefined {
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.find((line) => line.startsWith(`${name}:`))?.split(':')
}
