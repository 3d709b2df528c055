/** The settings of "Debugging". */
import { inspectAddress, translateReloadEngine } from '../debug-kinds.ts'
import { bool, choice, orNull, textList } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const DEBUGGING_ROWS = {
  reload: {
    section: 'Debugging',
    flags: ['--reload'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Restarts workers when a loaded file changes, for development. Connections wait meanwhile. ' +
      'If the application does not load, requests get a page that shows the error. ' +
      'docs/development.md has the details.',
  },
  reload_engine: {
    section: 'Debugging',
    flags: ['--reload-engine'],
    kind: { ...choice(['auto', 'poll', 'fs.watch']), translate: translateReloadEngine },
    default: 'auto',
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'How changes of files are detected. "auto" and "fs.watch" use notifications of the kernel. ' +
      '"poll" checks the files twice a second, for file systems without notifications (network ' +
      'mounts, some containers).',
  },
  reload_extra_files: {
    section: 'Debugging',
    flags: ['--reload-extra-file'],
    kind: textList('PATH'),
    default: [],
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Additional file whose change restarts workers; repeat the flag for several. ' +
      'A directory means all files below it. ' +
      'The patterns *, ?, [abc] and ** are understood, and new files that match count. ' +
      'Paths are relative to the start directory.',
  },
  inspect: {
    section: 'Debugging',
    flags: ['--inspect'],
    kind: orNull(inspectAddress),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Opens the workers to a debugger at PORT or HOST:PORT. The default is 127.0.0.1:9229. ' +
      'The second worker has the next port, and so on. ' +
      'Unless they are set, timeout and request_timeout become 0 and boot_timeout becomes one ' +
      'day.',
  },
  inspect_brk: {
    section: 'Debugging',
    flags: ['--inspect-brk'],
    kind: orNull(inspectAddress),
    default: null,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Like inspect, but each worker waits for the debugger and stops before it loads the ' +
      'application.',
  },
  spew: {
    section: 'Debugging',
    flags: ['--spew'],
    kind: bool,
    default: false,
    status: 'inapplicable',
    whenSet: 'warn',
    reason: 'V8 has no cheap hook for each line; use inspect',
    doc: 'Prints every line that is executed.',
  },
  check_config: {
    section: 'Debugging',
    flags: ['--check-config'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'command line',
    sources: ['flag'],
    doc:
      'Checks the settings, loads the application and exits. ' +
      'The status is 0 if all is well, which one line reports, or that of the failed start. ' +
      'Hooks, certificates, hosts and the directories of logs, pidfile and unix sockets are ' +
      'checked, too. ' +
      'No address is opened, so an address that the running server uses is not an error.',
  },
  print_config: {
    section: 'Debugging',
    flags: ['--print-config'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'command line',
    sources: ['flag'],
    doc: 'Prints the value and origin of every setting, then does what --check-config does.',
  },
} as const satisfies Record<string, Row>
