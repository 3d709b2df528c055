/** The kinds of value that settings of workers have. */
import * as z from 'zod/mini'

import { availableCpus } from './cpus.ts'
import { joinWithOr, keepText, type ListItem, numberFromText, type ValueKind } from './kinds.ts'

const MAX_WORKERS = 1024

const WORKER_CLASSES = ['auto', 'node', 'fetch']
const GUNICORN_WORKER_CLASSES = [
  'sync',
  'gthread',
  'eventlet',
  'gevent',
  'gevent_wsgi',
  'gevent_pywsgi',
  'tornado',
  'asgi',
]

/** A number of workers. `auto` becomes the number of processors available to this process. */
export const workerCount: ValueKind<number, number | 'auto'> = {
  schema: z.pipe(
    z.union([z.int().check(z.minimum(0), z.maximum(MAX_WORKERS)), z.literal('auto')]),
    z.transform((value) => (value === 'auto' ? availableCpus() : value)),
  ),
  allowed: `an integer from 0 to ${MAX_WORKERS} or "auto"`,
  placeholder: 'N|auto',
  fromText: numberFromText,
}

/** A variable for the environment of workers, as an item of a list. */
export const environmentEntry: ListItem = {
  schema: z.string().check(z.regex(/^[^=\0]+=[^\0]*$/)),
  allowed: 'KEY=VALUE',
}

/** How a worker calls the application. The names of Gunicorn's worker classes mean `auto`. */
export const workerClass: ValueKind<string, string> = {
  schema: z
    .string()
    .check(z.refine((value) => WORKER_CLASSES.includes(value) || isModulePath(value))),
  allowed: `${joinWithOr(WORKER_CLASSES)}, or the path of a module (./adapter.js)`,
  placeholder: 'auto|node|fetch|MODULE',
  fromText: keepText,
  words: WORKER_CLASSES,
  translate: (value) => {
    const known = GUNICORN_WORKER_CLASSES.includes(value) || /^(egg:|gunicorn[.])/.test(value)
    return known || value.startsWith('uvicorn.') ? 'auto' : undefined
  },
}

function isModulePath(value: string): boolean {
  return /^[.]{0,2}[/]./.test(value) || /[.][cm]?[jt]s$/.test(value)
}
