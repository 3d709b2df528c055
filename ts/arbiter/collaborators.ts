/**
 * Creates and connects the objects that do the arbiter's work: worker processes, generations, the
 * worker count, the upgrade and others. Decisions that concern several of them are callbacks to the
 * arbiter.
 */

import type { System } from '../process/system.ts'
import { Clock } from './clock.ts'
import { type CommandSources, Commands } from './commands.ts'
import type { ArbiterDependencies } from './dependencies.ts'
import { DevReload } from './dev-reload.ts'
import { ExtraListeners } from './extra-listeners.ts'
import { Housekeeping } from './housekeeping.ts'
import { Leadership } from './leadership.ts'
import { DrainDelay } from './monitoring/drain-delay.ts'
import { Monitoring } from './monitoring/monitoring.ts'
import { Rollout, type RolloutDependencies } from './rollout.ts'
import { Supervisor, type SupervisorCallbacks } from './supervisor.ts'
import { TitleAndPidfile } from './title-and-pidfile.ts'
import { ArbiterUpgrade } from './upgrade.ts'
import { WorkerCount } from './worker-count.ts'

/** The objects that do the work of one arbiter. */
export interface Collaborators {
  readonly clock: Clock
  readonly commands: Commands
  readonly devReload: DevReload
  readonly extraListeners: ExtraListeners
  readonly housekeeping: Housekeeping
  readonly rollout: Rollout
  readonly supervisor: Supervisor
  readonly titleAndPidfile: TitleAndPidfile
  readonly upgrade: ArbiterUpgrade
  readonly workerCount: WorkerCount
}

/** Decisions that the collaborators leave to the arbiter. */
export interface ArbiterCallbacks
  extends Pick<RolloutDependencies, 'prepareGeneration' | 'onCurrentChanged'>,
    Pick<SupervisorCallbacks, 'onReady' | 'onBootFailure'>,
    Pick<CommandSources, 'getPhase' | 'applyReaction'> {}

/** Creates the collaborators of one arbiter. Nothing happens until the arbiter runs. */
export function createCollaborators(
  system: System,
  dependencies: ArbiterDependencies,
  callbacks: ArbiterCallbacks,
): Collaborators {
  const { hooks, log, program, queue, scoreboard, settings } = dependencies
  const { cwd } = program
  const clock = new Clock(system, queue)
  const upgrade = new ArbiterUpgrade(system, dependencies)
  const isSuccessor = upgrade.predecessorPid !== undefined
  const titleAndPidfile = new TitleAndPidfile(dependencies, { isSuccessor })
  const extraListeners = new ExtraListeners(log, dependencies.inheritedExtraListeners)
  const devReload = new DevReload({ ...dependencies, cwd })
  const limits = { workers: settings.values.workers, slotCount: scoreboard.slotCount }
  const workerCount = new WorkerCount(log, limits, (now, before) =>
    hooks.call('nworkers_changed', now, before),
  )
  const rollout = new Rollout({
    ...dependencies,
    ...callbacks,
    onCurrentChanged: (generation, previous) => {
      monitoring.applyGeneration(generation)
      callbacks.onCurrentChanged(generation, previous)
    },
    onReloadEnded: (outcome) => monitoring.recordReload(outcome, rollout.reloads.lastError),
    system,
    ownsSocketFiles: () => !upgrade.sharesSockets,
  })
  const supervisor = new Supervisor(system, {
    ...dependencies,
    extraListeners,
    callbacks: {
      ...callbacks,
      onReady: (worker) => {
        callbacks.onReady(worker)
        monitoring.recordReady(worker)
      },
      onMetrics: (worker, message) => monitoring.handleReport(worker, message),
      isTrial: ({ generation }) => generation === rollout.trialGeneration,
      isFinalShutdown: () =>
        callbacks.getPhase() === 'stopping' && upgrade.successorPid === undefined,
      onFilesLoaded: (message) => devReload.handleLoaded(message),
      onDiagnosed: (message) => commands.diagnoses.handleResult(message),
      callPreFork: (age) => hooks.callPreFork(age, system.pid),
      onExited: (worker) => {
        monitoring.recordExit(worker)
        const { pid, age } = worker
        hooks.call('child_exit', { pid, age, ppid: system.pid })
      },
    },
  })
  const { workers } = supervisor
  const isStopping = () => callbacks.getPhase() === 'stopping'
  const hasSuccessor = () => upgrade.successorPid !== undefined
  const currentGeneration = () => rollout.currentGeneration
  const drainDelay = new DrainDelay(system, {
    log,
    queue,
    workers,
    currentGeneration,
    hasSuccessor,
    isStopping,
  })
  const monitoring = new Monitoring(system, {
    drainDelay,
    log,
    scoreboard,
    workers,
    isNative: scoreboard.fd !== undefined && dependencies.engineDescription === 'native',
    wantedWorkers: () => workerCount.wanted,
    currentGeneration,
    isStopping: () => (isStopping() || drainDelay.hasBegun) && !hasSuccessor(),
    hasPredecessor: () => upgrade.predecessorPid !== undefined,
    earlier: dependencies.earlierLifecycle,
  })
  const leadership = new Leadership(system, {
    ...{ log, workers, currentGeneration },
    peer: upgrade,
    getPhase: callbacks.getPhase,
  })
  upgrade.connect(monitoring, leadership)
  hooks.connectServer({ system, workers, settings, rollout, workerCount })
  const housekeeping = new Housekeeping(system, {
    dependencies,
    titleAndPidfile,
    workers,
    monitoring,
    leadership,
  })
  const commands = new Commands({
    ...callbacks,
    system,
    dependencies,
    rollout,
    supervisor,
    workerCount,
    extraListeners,
    monitoring,
    upgrade,
  })
  return {
    clock,
    commands,
    devReload,
    extraListeners,
    housekeeping,
    rollout,
    supervisor,
    titleAndPidfile,
    upgrade,
    workerCount,
  }
}
