/** The commands that look into a worker: `profile`, `heap-snapshot` and `inspect`. */

import type { ControlAnswer, ControlCall } from '../control/protocol.ts'
import type { FileReport, InspectReport } from '../control/reports.ts'
import type { Diagnosis, DiagnosisResult } from '../messages.ts'
import type { System } from '../process/system.ts'
import type { Diagnoses } from './diagnoses.ts'
import type { Supervisor } from './supervisor.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** What these commands use of the arbiter. */
export interface DiagnosisSources {
  readonly system: System
  readonly supervisor: Supervisor
  readonly diagnoses: Diagnoses
}

/** A command that waits for the answer of a worker. */
export interface DiagnosisWait {
  readonly waitMs: number
  /** Returns the answer to the command once it is known. */
  readonly check: () => ControlAnswer | undefined
  /** Describes what is still missing after `waitMs`. */
  readonly describeDelay: () => string
  /** Called once the command has been answered. */
  readonly finish: () => void
}

const ANSWER_WAIT_MS = 10_000
/** A snapshot of a large heap takes minutes. */
const SNAPSHOT_WAIT_MS = 600_000
const DEFAULT_PROFILE_SECONDS = 10
/** The first heartbeat after a diagnosis follows within this time. */
const RESUME_MS = 5_000
const SECOND_MS = 1_000

/** Asks the worker that the first argument names; returns the problem if there is none. */
export function askWorker(
  { system, supervisor, diagnoses }: DiagnosisSources,
  call: ControlCall,
): DiagnosisWait | string {
  const [pid = ''] = call.args
  const worker = supervisor.workers.list().find((one) => String(one.pid) === pid)
  const serving = supervisor.workers.list().filter(({ state }) => state === 'serving')
  if (worker === undefined || !serving.includes(worker)) {
    const pids = serving.map((one) => one.pid).join(', ')
    return `no worker that serves has the pid ${pid}; these do: ${pids}`
  }
  const diagnosis = chooseDiagnosis(call)
  const waitMs = waitFor(diagnosis)
  const asked = diagnoses.ask(worker, diagnosis)
  allowSilence(worker, diagnosis, system.now() + waitMs)
  return {
    waitMs,
    check() {
      const { result } = asked.question
      if (result === undefined) {
        return worker.state === 'gone' ? failure(`worker ${pid} has exited`) : undefined
      }
      return describeResult(worker, result)
    },
    describeDelay: () => `worker ${pid} has not answered within ${waitMs / SECOND_MS} s`,
    finish() {
      diagnoses.drop(asked.id)
      // A debugger may stop the worker at any time until it is closed.
      const isOpen = asked.question.result?.kind === 'inspect' && isOpening(diagnosis)
      if (!isOpen) worker.silenceAllowedUntilMs = system.now() + RESUME_MS
    },
  }
}

function chooseDiagnosis({ command, args: [, second, third] }: ControlCall): Diagnosis {
  if (command === 'profile') {
    return { kind: 'profile', seconds: Number(third ?? DEFAULT_PROFILE_SECONDS) }
  }
  if (command === 'heap-snapshot') return { kind: 'heapSnapshot' }
  return { kind: 'inspect', port: second === 'off' ? null : Number(second ?? 0) }
}

function waitFor(diagnosis: Diagnosis): number {
  if (diagnosis.kind === 'heapSnapshot') return SNAPSHOT_WAIT_MS
  return ANSWER_WAIT_MS + (diagnosis.kind === 'profile' ? diagnosis.seconds * SECOND_MS : 0)
}

// The setting `timeout` must not kill a worker that the operator has stopped.
function allowSilence(worker: WorkerHandle, diagnosis: Diagnosis, untilMs: number): void {
  if (diagnosis.kind === 'heapSnapshot') worker.silenceAllowedUntilMs = untilMs
  if (isOpening(diagnosis)) worker.silenceAllowedUntilMs = Number.POSITIVE_INFINITY
}

function isOpening(diagnosis: Diagnosis): boolean {
  return diagnosis.kind === 'inspect' && diagnosis.port !== null
}

function describeResult({ pid }: WorkerHandle, result: DiagnosisResult): ControlAnswer {
  if (result.kind === 'error') return failure(result.problem)
  if (result.kind === 'file') {
    const { path, bytes } = result
    const data: FileReport = { message: `worker ${pid} has written ${path}`, path, bytes }
    return { ok: true, data }
  }
  const url = result.kind === 'inspect' ? result.url : null
  const message =
    url === null ? `worker ${pid} is closed to debuggers` : `worker ${pid} is open at ${url}`
  const data: InspectReport = { message, url }
  return { ok: true, data }
}

function failure(error: string): ControlAnswer {
  return { ok: false, error }
}
