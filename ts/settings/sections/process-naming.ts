/** The settings of "Process Naming". */
import { orNull, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const PROCESS_NAMING_ROWS = {
  proc_name: {
    section: 'Process Naming',
    flags: ['-n', '--name'],
    kind: orNull(text('NAME')),
    default: null,
    status: 'built',
    reads: 'arbiter and worker',
    doc: "The name in the titles of the processes. Without it, the application's.",
  },
  default_proc_name: {
    section: 'Process Naming',
    kind: text('NAME'),
    default: 'monoceros',
    status: 'none',
    act: 'warn',
    reason: 'the name of the application is always the default; set proc_name',
    doc: 'What proc_name is when it is not set.',
  },
} as const satisfies Record<string, Row>
