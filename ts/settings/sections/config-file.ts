/** The settings of "Config File". */
import { orNull, text, textList } from '../kinds.ts'
import type { Row } from '../rows.ts'

export const CONFIG_FILE_ROWS = {
  config: {
    section: 'Config File',
    flags: ['-c', '--config'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'command line',
    sources: ['flag', 'environment'],
    doc:
      'Path of the config file. ' +
      'The value is PATH, file:PATH or module:NAME (a package or file that Node resolves). ' +
      'Without it, Monoceros takes the first of monoceros.config.js, .mjs, .cjs, .ts and .json ' +
      'that exists in the start directory. ' +
      'HUP loads the file again, but not the files that it imports.',
  },
  app: {
    section: 'Config File',
    aliases: ['wsgi_app'],
    kind: orNull(text('APP')),
    default: null,
    status: 'supported',
    readBy: 'worker',
    doc:
      'The application, if the command line names none: FILE or FILE:EXPORT. ' +
      'The path is relative to chdir. ' +
      'Without EXPORT, the application is the default export (module.exports of a CommonJS ' +
      'module) or the server that the file starts with listen().',
  },
  app_args: {
    section: 'Config File',
    kind: textList('TEXT'),
    default: [],
    status: 'supported',
    readBy: 'worker',
    doc:
      'Arguments for the application, which it finds in process.argv from the third element on. ' +
      'On the command line they follow a "--" after the application.',
  },
} as const satisfies Record<string, Row>
