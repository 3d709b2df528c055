/** Values in texts that Linux has under /proc. */

/** Returns the value of a line such as `VmRSS: 123 kB`, in bytes. */
export function parseKibibytes(text: string, name: string): number | undefined {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]
  return found === undefined ? undefined : Number(found) * KIBIBYTE
}

/** Returns the soft and the hard limit of open files in `/proc/PID/limits`, as they are written. */
export function parseOpenFileLimits(limits: string): { soft?: string; hard?: string } {
  const pattern = /^Max open files\s+(?<soft>\d+|unlimited)\s+(?<hard>\d+|unlimited)/m
  return pattern.exec(limits)?.groups ?? {}
}

const KIBIBYTE = 1_024
