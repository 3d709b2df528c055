/** Questions to workers about their own processes, and the answers as they arrive. */

import type { Diagnosis, DiagnosisResult, WorkerMessage } from '../messages.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** A question to one worker. */
export interface Question {
  readonly worker: WorkerHandle
  /** Undefined until the worker has answered. */
  result: DiagnosisResult | undefined
}

/** The questions of one arbiter. Each belongs to a command in flight, which bounds their number. */
export class Diagnoses {
  readonly #questions = new Map<number, Question>()
  #lastId = 0

  /** Sends a question to a worker. `drop` must follow. */
  ask(worker: WorkerHandle, diagnosis: Diagnosis): { id: number; question: Question } {
    this.#lastId += 1
    const question: Question = { worker, result: undefined }
    this.#questions.set(this.#lastId, question)
    worker.child.send({ type: 'diagnose', id: this.#lastId, diagnosis })
    return { id: this.#lastId, question }
  }

  /** Handles the message `diagnosed`. A late answer has no question any more. */
  handleResult({ id, result }: Extract<WorkerMessage, { type: 'diagnosed' }>): void {
    const question = this.#questions.get(id)
    if (question !== undefined) question.result = result
  }

  /** Forgets a question whose answer has been used, or comes too late. */
  drop(id: number): void {
    this.#questions.delete(id)
  }
}
