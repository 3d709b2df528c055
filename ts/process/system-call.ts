/**
 * Which system call this process's first thread waits in, read from /proc by another thread of it: the call's name,
 * what it is about (a path, a descriptor, child processes) and where in the kernel it sleeps. Linux only.
 */

import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs'

const PROC = '/proc/self'
const MAX_PATH_BYTES = 256
const MAX_COMMAND_CHARS = 120

// Of the hundreds there are, those that can wait.
// biome-ignore format: one row a machine reads better than one a call
const NAMES: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  x64: { 0: 'read', 1: 'write', 2: 'open', 3: 'close', 4: 'stat', 5: 'fstat', 6: 'lstat', 7: 'poll', 17: 'pread64', 18: 'pwrite64', 19: 'readv', 20: 'writev', 23: 'select', 26: 'msync', 34: 'pause', 35: 'nanosleep', 40: 'sendfile', 42: 'connect', 43: 'accept', 44: 'sendto', 45: 'recvfrom', 46: 'sendmsg', 47: 'recvmsg', 61: 'wait4', 72: 'fcntl', 73: 'flock', 74: 'fsync', 75: 'fdatasync', 77: 'ftruncate', 82: 'rename', 83: 'mkdir', 87: 'unlink', 162: 'sync', 202: 'futex', 217: 'getdents64', 230: 'clock_nanosleep', 232: 'epoll_wait', 247: 'waitid', 257: 'openat', 258: 'mkdirat', 262: 'newfstatat', 263: 'unlinkat', 264: 'renameat', 270: 'pselect6', 271: 'ppoll', 281: 'epoll_pwait', 288: 'accept4', 316: 'renameat2', 318: 'getrandom', 326: 'copy_file_range', 332: 'statx', 426: 'io_uring_enter', 441: 'epoll_pwait2' },
  arm64: { 22: 'epoll_pwait', 25: 'fcntl', 32: 'flock', 34: 'mkdirat', 35: 'unlinkat', 38: 'renameat', 46: 'ftruncate', 56: 'openat', 57: 'close', 61: 'getdents64', 63: 'read', 64: 'write', 65: 'readv', 66: 'writev', 67: 'pread64', 68: 'pwrite64', 71: 'sendfile', 72: 'pselect6', 73: 'ppoll', 79: 'newfstatat', 80: 'fstat', 81: 'sync', 82: 'fsync', 83: 'fdatasync', 95: 'waitid', 98: 'futex', 101: 'nanosleep', 115: 'clock_nanosleep', 202: 'accept', 203: 'connect', 206: 'sendto', 207: 'recvfrom', 211: 'sendmsg', 212: 'recvmsg', 227: 'msync', 242: 'accept4', 260: 'wait4', 276: 'renameat2', 278: 'getrandom', 285: 'copy_file_range', 291: 'statx', 426: 'io_uring_enter', 441: 'epoll_pwait2' },
}

// Which argument is what. Only calls with something worth telling.
const PATH_ARGUMENT: Readonly<Record<string, number>> = {
  open: 0,
  stat: 0,
  lstat: 0,
  unlink: 0,
  rename: 0,
  mkdir: 0,
  openat: 1,
  newfstatat: 1,
  statx: 1,
  unlinkat: 1,
  mkdirat: 1,
  renameat: 1,
  renameat2: 1,
}
const DESCRIPTOR_CALLS = new Set(
  'read write pread64 pwrite64 readv writev fsync fdatasync flock fcntl connect accept accept4 sendto recvfrom sendmsg recvmsg getdents64 ftruncate sendfile'.split(
    ' ',
  ),
)
const WAITS_FOR_MANY = new Set(
  'poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2 wait4 waitid'.split(' '),
)

/** One sentence part such as `openat("/run/fifo") in wait_for_partner`; undefined while the thread runs. */
export function describeSystemCall(): string | undefined {
  const words = readText(`${PROC}/syscall`)?.trim().split(' ') ?? []
  const number = Number(words[0])
  // "running", or -1 for a thread that is stopped outside of a call.
  if (words.length < 2 || !Number.isInteger(number) || number < 0) return undefined
  const name = NAMES[process.arch]?.[number] ?? `call ${number}`
  const place = readText(`${PROC}/wchan`)?.trim()
  const where = place === undefined || place === '' || place === '0' ? '' : ` in ${place}`
  return `${name}(${subjectOf(name, words.slice(1, 7))})${where}`
}

function subjectOf(name: string, args: readonly string[]): string {
  const path = PATH_ARGUMENT[name]
  if (path !== undefined) return JSON.stringify(readMemory(args[path] ?? '0') ?? '?')
  if (DESCRIPTOR_CALLS.has(name)) return describeDescriptor(Number(args[0]))
  if (WAITS_FOR_MANY.has(name)) return describeChildren()
  return ''
}

function describeDescriptor(fd: number): string {
  try {
    return `${fd}: ${readlinkSync(`${PROC}/fd/${fd}`)}`
  } catch {
    // Closed meanwhile, or no number: the number is all there is to say.
    return String(fd)
  }
}

/** A call that waits for many things waits, in a program of Node, for what execSync has started. */
function describeChildren(): string {
  const pids = readText(`${PROC}/task/${process.pid}/children`)?.trim().split(' ') ?? []
  const commands = pids
    .filter((pid) => pid !== '')
    .map((pid) => readText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim())
    .filter((command) => command !== undefined && command !== '')
    .map((command) => `child process: ${command?.slice(0, MAX_COMMAND_CHARS)}`)
  return commands.join(', ')
}

/** The text at an address of this process's own memory. */
function readMemory(address: string): string | undefined {
  const buffer = Buffer.alloc(MAX_PATH_BYTES)
  let fd: number | undefined
  try {
    fd = openSync(`${PROC}/mem`, 'r')
    const length = readSync(fd, buffer, 0, buffer.length, BigInt(address))
    const end = buffer.indexOf(0)
    return buffer.toString('utf8', 0, end === -1 || end > length ? length : end)
  } catch {
    // The call has returned meanwhile, or /proc is mounted without it.
    return undefined
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Another system than Linux, or a container that hides it.
    return undefined
  }
}
