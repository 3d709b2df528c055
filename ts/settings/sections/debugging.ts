/** The settings of "Debugging". */
import { bool, choice, textList } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const DEBUGGING_ROWS = {
  reload: {
    section: 'Debugging',
    flags: ['--reload'],
    kind: bool,
    default: false,
    status: 'later',
    doc: 'Restarts workers when a loaded file changes.',
  },
  reload_engine: {
    section: 'Debugging',
    flags: ['--reload-engine'],
    kind: choice(['auto', 'poll', 'inotify']),
    default: 'auto',
    status: 'later',
    doc: 'How changes of files are noticed.',
  },
  reload_extra_files: {
    section: 'Debugging',
    flags: ['--reload-extra-file'],
    kind: textList('PATH'),
    default: [],
    status: 'later',
    doc: 'Further files whose change restarts workers.',
  },
  spew: {
    section: 'Debugging',
    flags: ['--spew'],
    kind: bool,
    default: false,
    status: 'none',
    act: 'warn',
    reason: 'V8 has no cheap hook for each line; use node --inspect',
    doc: 'Prints every line that is executed.',
  },
  check_config: {
    section: 'Debugging',
    flags: ['--check-config'],
    kind: bool,
    default: false,
    status: 'built',
    reads: 'command line',
    sources: ['flag'],
    doc: 'Checks the settings and loads the application, then exits: 0 when all is well.',
  },
  print_config: {
    section: 'Debugging',
    flags: ['--print-config'],
    kind: bool,
    default: false,
    status: 'built',
    reads: 'command line',
    sources: ['flag'],
    doc: 'Prints the value of every setting and where it comes from, then does what --check-config does.',
  },
} as const satisfies Record<string, Row>
