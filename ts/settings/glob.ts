/** File name patterns as in a shell: `*`, `?`, `[abc]`, and `**` for any directories. */

import { sep } from 'node:path'

const SPECIAL = /[*?[]/

/** Returns whether a path is a pattern. */
export function isGlob(path: string): boolean {
  return SPECIAL.test(path)
}

/** Returns the directory that contains all possible matches. */
export function globBase(pattern: string): string {
  const parts = pattern.split(sep)
  const plain = parts.slice(0, parts.findIndex(isGlob))
  return plain.join(sep) || sep
}

/** Converts a pattern to a regular expression that matches whole paths. */
export function globToRegExp(pattern: string): RegExp {
  const source = pattern.replace(
    /(\/\*\*(?=\/))|(\*\*)|(\*)|(\?)|\[(!?)([^\]/]+)\]|([\\^$.|+(){}[\]])/g,
    (_all, directories, anything, stars, one, not, set, plain) => {
      if (directories !== undefined) return '(?:/.*)?'
      if (anything !== undefined) return '.*'
      if (stars !== undefined) return '[^/]*'
      if (one !== undefined) return '[^/]'
      if (set !== undefined) return `[${not ? '^' : ''}${set.replace(/[\\^]/g, '\\$&')}]`
      return `\\${plain}`
    },
  )
  return new RegExp(`^${source}$`)
}
