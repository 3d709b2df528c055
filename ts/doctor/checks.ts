/**
 * The table of all checks of `monoceros doctor`: what surprises people in production. Each check is
 * a function of facts that `facts.ts` collects, so a test needs no machine.
 */

import { parseAddress } from '../listen/address.ts'
import { formatBytes } from '../text/format.ts'
import type { Facts } from './facts.ts'

/** What a check has found. */
export interface Finding {
  readonly status: 'ok' | 'problem' | 'unknown'
  /** What is the case: `NODE_ENV=production`. */
  readonly value: string
  /** What to do about a problem. */
  readonly advice?: string
}

/** One check. */
export interface CheckRow {
  /** What is checked, for the first column and for JSON. */
  readonly title: string
  /** Why it matters, for the documentation. */
  readonly why: string
  readonly check: (facts: Facts) => Finding
}

const MIN_NODE = [20, 19] as const
const MIN_OPEN_FILES = 4_096
/** Idle timeout of AWS load balancers and of connections from nginx to an upstream, in seconds. */
const BALANCER_IDLE_SECONDS = 60
/** Memory of a worker with a small application. */
const MIN_WORKER_BYTES = 128 * 1024 * 1024
/** A machine that has swapped more than this share of its swap is short of memory. */
const MAX_SWAPPED_SHARE = 0.25
/** Time stamps before this year come from a clock that was never set. */
const MIN_YEAR = 2025
/** Clock sources of Linux that need no system call. */
const FAST_CLOCKS = /^(?:tsc|kvm-clock|arch_sys_counter|hyperv_clocksource\w*|timebase|riscv_\w+)$/
/** Programs that pass signals on and reap processes, as the names of process 1. */
const INITS = /^(?:systemd|init|tini|dumb-init|docker-init|catatonit|s6-svscan|runit|monoceros)/

/** The table of checks, in the order of the output. */
export const CHECKS: readonly CheckRow[] = [
  {
    title: 'node',
    why: 'Monoceros needs Node 20.19 or newer. Lines with an odd number are short-lived.',
    check({ nodeVersion }) {
      const [major = 0, minor = 0] = nodeVersion.split('.').map(Number)
      const isOld = major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])
      if (isOld) return problem(nodeVersion, `Install Node ${MIN_NODE.join('.')} or newer.`)
      if (major % 2 === 0) return ok(nodeVersion)
      return problem(nodeVersion, 'This line gets no long-term support. Install an even one.')
    },
  },
  {
    title: 'engine',
    why: 'Without the addon, node:http serves: slower, and with fewer limits (engines.md).',
    check: ({ engineFailure }) =>
      engineFailure === undefined
        ? ok('native')
        : problem(
            `node, because the addon does not load: ${engineFailure}`,
            'Install monoceros again on this platform, with optional dependencies.',
          ),
  },
  {
    title: 'settings',
    why: 'Settings that are invalid end the start.',
    check: ({ settingsError }) =>
      settingsError === undefined
        ? ok('valid')
        : problem(settingsError, 'Correct the setting. --check-config also loads the application.'),
  },
  {
    title: 'environment',
    why: 'Express, React and other packages are slow and verbose without NODE_ENV=production.',
    check({ nodeEnv }) {
      if (nodeEnv === 'production') return ok('NODE_ENV=production')
      const value = nodeEnv === undefined ? 'NODE_ENV is not set' : `NODE_ENV=${nodeEnv}`
      return problem(value, 'Set NODE_ENV=production.')
    },
  },
  {
    title: 'open files',
    why: 'Each connection needs a descriptor. Node raises the soft limit to the hard one.',
    check({ maxOpenFiles }) {
      if (maxOpenFiles === undefined) return unknown()
      const value = `${maxOpenFiles} per process`
      if (maxOpenFiles >= MIN_OPEN_FILES) return ok(value)
      return problem(value, 'Raise the hard limit: LimitNOFILE=65536 in systemd, or ulimit -Hn.')
    },
  },
  {
    title: 'backlog',
    why: 'The kernel cuts the setting backlog to somaxconn; more connections are dropped.',
    check({ somaxconn, settings: { backlog } }) {
      if (somaxconn === undefined) return unknown()
      const value = `backlog ${backlog}, net.core.somaxconn ${somaxconn}`
      if (backlog <= somaxconn) return ok(value)
      return problem(value, `Set sysctl net.core.somaxconn=${backlog}.`)
    },
  },
  {
    title: 'processors',
    why: 'More workers than processors compete; a quota stops all until its period ends.',
    check({ processorCount, cpuQuota, settings: { workers } }) {
      const quota = cpuQuota === undefined ? '' : `, quota of the control group ${cpuQuota}`
      const count = `${workers} ${workers === 1 ? 'worker' : 'workers'}`
      const value = `${count}, ${processorCount} processors${quota}`
      if (workers <= processorCount) return ok(value)
      return problem(value, `Use at most ${processorCount} workers, or workers=auto.`)
    },
  },
  {
    title: 'memory',
    why: 'The kernel kills a worker when the control group or the machine is out of memory.',
    check({ memoryLimit, totalMemory, settings: { workers } }) {
      const limit = Math.min(memoryLimit ?? totalMemory, totalMemory)
      const each = limit / Math.max(1, workers)
      const source = limit === memoryLimit ? 'limit of the control group' : 'of the machine'
      const value = `${formatBytes(limit)} ${source}, ${formatBytes(each)} for each worker`
      if (each >= MIN_WORKER_BYTES) return ok(value)
      return problem(value, `Give each worker ${formatBytes(MIN_WORKER_BYTES)}, or use fewer.`)
    },
  },
  {
    title: 'swap',
    why: 'A heap that is swapped out stops the event loop during each garbage collection.',
    check({ swapTotal, swapUsed }) {
      if (swapTotal === undefined || swapUsed === undefined) return unknown()
      if (swapTotal === 0) return ok('none')
      const value = `${formatBytes(swapUsed)} of ${formatBytes(swapTotal)} used`
      if (swapUsed / swapTotal <= MAX_SWAPPED_SHARE) return ok(value)
      return problem(value, 'Add memory, use fewer workers, or set max_worker_memory.')
    },
  },
  {
    title: 'huge pages',
    why: 'With "always" the resident memory of each worker grows, and compaction stalls it.',
    check({ hugePages }) {
      if (hugePages === undefined) return unknown()
      if (hugePages !== 'always') return ok(hugePages)
      const advice = 'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled'
      return problem(hugePages, `As root: ${advice}`)
    },
  },
  {
    title: 'process 1',
    why: 'A shell or npm as process 1 of a container passes no signal on, and reaps no zombies.',
    check({ isContainer, initName }) {
      if (initName === undefined) return unknown()
      if (!isContainer) return ok(`${initName}, no container`)
      if (INITS.test(initName)) return ok(initName)
      // The arbiter as process 1 handles signals and reaps.
      if (/^node\b/.test(initName)) return ok(`${initName}; the arbiter can be process 1`)
      const advice =
        'Use CMD ["node_modules/.bin/monoceros", ...] in exec form, or docker run --init.'
      return problem(`${initName} in a container`, advice)
    },
  },
  {
    title: 'keep-alive',
    why: 'A balancer that keeps idle connections longer than the server gets resets (502).',
    check({ settings: { keepalive } }) {
      if (keepalive === 0) return ok('off: each connection carries one request')
      const value = `keepalive ${keepalive} s; balancers keep ${BALANCER_IDLE_SECONDS} s`
      if (keepalive > BALANCER_IDLE_SECONDS) {
        return ok(`${value} (Google Cloud: 600 s)`)
      }
      return problem(value, 'Set keepalive=75, or more than the idle timeout of your balancer.')
    },
  },
  {
    title: 'ports',
    why: 'Ports below 1024 need root or CAP_NET_BIND_SERVICE.',
    check({ settings: { bind }, firstUnprivilegedPort: first, canBindPrivileged }) {
      const ports = bind.flatMap((text) => {
        const address = parseAddress(text)
        return address.kind === 'tcp' && address.port > 0 ? [address.port] : []
      })
      const privileged = ports.filter((port) => port < first)
      const value = ports.length === 0 ? 'none' : ports.join(', ')
      if (privileged.length === 0 || canBindPrivileged) return ok(value)
      return problem(
        `${privileged.join(', ')}: below ${first}, and this user is not root`,
        'Use another port, systemd socket activation, or setcap cap_net_bind_service+ep on node.',
      )
    },
  },
  {
    title: 'places',
    why: 'Logs, pidfile, control socket and temporary files need directories that can be written.',
    check({ places }) {
      const denied = places.filter((place) => place.problem !== undefined)
      const [first] = denied
      if (first === undefined) return ok(places.map(({ name }) => name).join(', '))
      return problem(
        denied.map(({ name, path, problem: why }) => `${name} ${path}: ${why}`).join('; '),
        'Create the directory, or give it to the user of the server.',
      )
    },
  },
  {
    title: 'clock',
    why: 'A slow clock source makes each time stamp a system call; a wrong time breaks TLS.',
    check({ clockSource, year }) {
      if (year < MIN_YEAR) return problem(`the year is ${year}`, 'Set the time: timedatectl, NTP.')
      if (clockSource === undefined) return unknown()
      if (FAST_CLOCKS.test(clockSource)) return ok(clockSource)
      const advice = 'Choose a virtual machine with tsc, or boot with clocksource=tsc.'
      return problem(`${clockSource}: reading the time is a system call`, advice)
    },
  },
]

function ok(value: string): Finding {
  return { status: 'ok', value }
}

function problem(value: string, advice: string): Finding {
  return { status: 'problem', value, advice }
}

function unknown(): Finding {
  return { status: 'unknown', value: 'not known on this system' }
}
