/**
 * Looks into the process of a worker for the operator: a CPU profile, a heap snapshot, a debugger
 * port. The inspector is loaded with the first request.
 */

import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { systemError } from '../errors.ts'
import type { DiagnoseMessage, Diagnosis, DiagnosisResult } from '../messages.ts'
import { processId, system } from '../process/system.ts'
import type { Channel } from './channel.ts'

type Inspector = typeof import('node:inspector')

const LOOPBACK = '127.0.0.1'
const PRIVATE_MODE = 0o600

let isProfiling = false

/** Carries a diagnosis out and sends the result. */
export function answerDiagnosis(
  channel: Pick<Channel, 'send'>,
  { id, diagnosis }: DiagnoseMessage,
): void {
  const send = (result: DiagnosisResult) => channel.send({ type: 'diagnosed', id, result })
  diagnose(diagnosis).then(send, (error: unknown) => {
    send({ kind: 'error', problem: error instanceof Error ? error.message : String(error) })
  })
}

async function diagnose(diagnosis: Diagnosis): Promise<DiagnosisResult> {
  switch (diagnosis.kind) {
    case 'profile':
      return recordProfile(diagnosis.seconds)
    case 'heapSnapshot':
      return writeSnapshot()
    case 'inspect':
      return openInspector(diagnosis.port)
  }
}

async function recordProfile(seconds: number): Promise<DiagnosisResult> {
  if (isProfiling) throw systemError('EBUSY', 'a profile of this worker is being recorded')
  isProfiling = true
  const { Session } = loadInspector()
  const session = new Session()
  session.connect()
  try {
    await post((done) => session.post('Profiler.enable', done))
    await post((done) => session.post('Profiler.start', done))
    await system.sleep(seconds * 1_000)
    const { profile } = await post<{ profile: object }>((done) =>
      session.post('Profiler.stop', done),
    )
    return writeResult('cpuprofile', (path) =>
      writeFileSync(path, JSON.stringify(profile), { mode: PRIVATE_MODE, flag: 'wx' }),
    )
  } finally {
    session.disconnect()
    isProfiling = false
  }
}

function writeSnapshot(): DiagnosisResult {
  const { writeHeapSnapshot } = process.getBuiltinModule('node:v8')
  return writeResult('heapsnapshot', (path) => void writeHeapSnapshot(path))
}

function openInspector(port: number | null): DiagnosisResult {
  const inspector = loadInspector()
  if (port === null) {
    inspector.close()
    return { kind: 'inspect', url: null }
  }
  if (inspector.url() === undefined) inspector.open(port, LOOPBACK)
  const url = inspector.url()
  // Node prints why, and throws nothing.
  if (url === undefined) throw systemError('EADDRINUSE', `port ${port} cannot be opened`)
  return { kind: 'inspect', url }
}

function loadInspector(): Inspector {
  return process.getBuiltinModule('node:inspector')
}

/** Writes a file in a new directory that only this user can enter. */
function writeResult(extension: string, write: (path: string) => void): DiagnosisResult {
  const directory = mkdtempSync(join(tmpdir(), `monoceros-${processId()}-`))
  const path = join(directory, `worker.${extension}`)
  write(path)
  return { kind: 'file', path, bytes: statSync(path).size }
}

function post<T = object>(
  send: (done: (error: Error | null, result?: object) => void) => void,
): Promise<T> {
  return new Promise((done, fail) => {
    send((error, result) => {
      if (error === null) done(result as T)
      else fail(error)
    })
  })
}
