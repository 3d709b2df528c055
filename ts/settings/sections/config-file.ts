/** The settings of "Config File". */
import { orNull, text } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const CONFIG_FILE_ROWS = {
  config: {
    section: 'Config File',
    flags: ['-c', '--config'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'built',
    reads: 'command line',
    sources: ['flag', 'environment'],
    doc: 'The config file. PATH, file:PATH or module:NAME (a package or file that Node would resolve). Without it the first of monoceros.config.js, .mjs, .cjs, .ts and .json in the directory of the start is taken, if there is one. It is loaded again at each HUP; files that it imports are not.',
  },
  app: {
    section: 'Config File',
    aliases: ['wsgi_app'],
    kind: orNull(text('APP')),
    default: null,
    status: 'built',
    reads: 'worker',
    doc: 'The application, when none is named on the command line: FILE or FILE:EXPORT. Relative to chdir. Without EXPORT it is the default export (module.exports of a CommonJS module), or the server that the file starts by listen().',
  },
} as const satisfies Record<string, Row>
