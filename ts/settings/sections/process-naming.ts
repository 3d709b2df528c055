/** The settings of "Process Naming". */
import { orNull, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const PROCESS_NAMING_ROWS = {
  proc_name: {
    section: 'Process Naming',
    flags: ['-n', '--name'],
    kind: orNull(text('NAME')),
    default: null,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Name in the titles of the processes. The default is the name of the application.',
  },
  default_proc_name: {
    section: 'Process Naming',
    kind: text('NAME'),
    default: 'monoceros',
    status: 'inapplicable',
    whenSet: 'warn',
    reason: 'the default is always the name of the application; set proc_name',
    doc: 'Default of proc_name.',
  },
} as const satisfies Record<string, Row>
