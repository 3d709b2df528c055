/** The errors of an application that is missing, does not load or exports nothing to serve. */

import type { ErrorRow } from '../errors.ts'

export const APP_ERRORS = {
  ERR_APP_MISSING: {
    exitStatus: 3,
    page: 'frameworks.md',
    text: (app: string, problem: string) => `application ${app} not found: ${problem}.`,
    advice: 'A directory is resolved as Node does: `main` of its package.json, or index.js.',
  },
  ERR_APP_BROKEN: {
    exitStatus: 3,
    page: 'frameworks.md',
    text: (app: string, thrown: string) => `application ${app} failed while loading:\n${thrown}`,
  },
  ERR_APP_STARTUP: {
    exitStatus: 3,
    page: 'frameworks.md',
    text: (thrown: string) => `the startup of the application failed:\n${thrown}`,
  },
  ERR_APP_LIFESPAN: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: () => 'asgi_lifespan is "on", but the application exports neither startup nor shutdown.',
  },
  ERR_APP_EXPORT_MISSING: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: (name: string, names: string) =>
      `the application does not export "${name}"; it exports ${names}.`,
  },
  ERR_APP_NOT_CALLABLE: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: (name: string, got: string, style: string) =>
      `the export "${name}" of the application is ${got}; it must be ${
        style === 'fetch'
          ? 'a fetch function or an object with one'
          : 'an http.Server, a function of (req, res) or of Request, ' +
            'an application of a framework, or an object with fetch'
      }. A script may also call listen().`,
  },
  ERR_APP_NO_EXPORT: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: (names: string) =>
      `the application has no default export and does not call listen(); it exports ${names}. ` +
      'Set module.exports in a CommonJS module, write export default in an ES module, ' +
      'or add the name of an export to the path (FILE:EXPORT).',
  },
  ERR_APP_CLUSTER: {
    exitStatus: 4,
    page: 'frameworks.md',
    text: () =>
      'the application starts its own workers with node:cluster and serves nothing itself. ' +
      'Monoceros starts the workers: name the program that they run.',
  },
  ERR_ONE_WORKER_LOAD: {
    exitStatus: 3,
    page: 'one-worker.md',
    text: (spec: string, problem: string) =>
      `one_worker must be FILE or FILE:EXPORT of a function, got "${spec}": ${problem}`,
  },
  ERR_ONE_WORKER_FUNCTION: {
    exitStatus: 1,
    page: 'one-worker.md',
    text: (got: string) => `runInOneWorker() takes a function of an AbortSignal, got ${got}.`,
  },
  ERR_ONE_WORKER_THREAD: {
    exitStatus: 1,
    page: 'one-worker.md',
    text: () =>
      'runInOneWorker() must be called in the main thread of a worker. ' +
      'Call it there, and start the thread in the function that it takes.',
  },
  ERR_WORKER_CLASS: {
    exitStatus: 1,
    page: 'frameworks.md',
    text: (path: string, problem: string) =>
      `worker_class must be auto, node, fetch or a module whose default export is a function, ` +
      `got "${path}": ${problem}`,
  },
} as const satisfies Record<string, ErrorRow>
