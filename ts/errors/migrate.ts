/** The errors of `monoceros migrate`. */

import type { ErrorRow } from '../errors.ts'

export const MIGRATE_ERRORS = {
  ERR_MIGRATE_USAGE: {
    exitStatus: 2,
    page: 'migrate.md',
    text: (what: string) => `${what}. monoceros migrate --help describes the command.`,
  },
  ERR_MIGRATE_KIND: {
    exitStatus: 2,
    page: 'migrate.md',
    text: (path: string, allowed: string) =>
      `${path} is of an unknown kind; the name must end in ${allowed}.`,
  },
  ERR_MIGRATE_BROKEN: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string, problem: string) => `${path} cannot be read: ${problem}.`,
  },
  ERR_MIGRATE_SHAPE: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string) =>
      `${path} is no ecosystem file: it must have "apps", a list of objects with "script".`,
  },
  ERR_MIGRATE_YAML: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string) =>
      `${path} cannot be read: no parser for YAML is installed beside it. ` +
      'Run npm install --no-save yaml there, or convert the file to JSON.',
  },
  ERR_MIGRATE_APP: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string, names: string) =>
      `${path} has several applications: ${names}. Choose one with --app NAME, or write a file ` +
      'for each with --output FILE.',
  },
  ERR_MIGRATE_APP_UNKNOWN: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string, name: string, names: string) =>
      `${path} has no application "${name}"; it has ${names}.`,
  },
  ERR_MIGRATE_ENV: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string, app: string, name: string) =>
      `application "${app}" in ${path} has no env_${name}. Choose another --env.`,
  },
  ERR_MIGRATE_EXISTS: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string) => `${path} exists already. Use --force to overwrite it.`,
  },
  ERR_MIGRATE_WRITE: {
    exitStatus: 1,
    page: 'migrate.md',
    text: (path: string, problem: string) => `${path} cannot be written: ${problem}.`,
  },
} as const satisfies Record<string, ErrorRow>
