/** The settings of "Logging". */
import { FACILITIES } from '../../log/syslog.ts'
import { bool, choice, jsonObject, orNull, text, textOrEmpty } from '../kinds.ts'
import { accessFormat, statsdAddress, syslogAddress } from '../log-kinds.ts'
import type { Row } from '../rows.ts'

export const LOGGING_ROWS = {
  accesslog: {
    section: 'Logging',
    flags: ['--access-logfile'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'text' },
    doc: 'Path of the access log. "-" is standard output. Without it, there is no access log.',
  },
  disable_redirect_access_to_syslog: {
    section: 'Logging',
    flags: ['--disable-redirect-access-to-syslog'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'worker',
    doc: 'Keeps the access log out of syslog.',
  },
  access_log_format: {
    section: 'Logging',
    flags: ['--access-logformat', '--access-log-format'],
    kind: accessFormat,
    default: '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'text' },
    doc:
      'Format of a line in the access log. docs/logging.md lists the fields. ' +
      '"json" writes an object per line, with every field.',
  },
  errorlog: {
    section: 'Logging',
    flags: ['--error-logfile', '--log-file'],
    kind: text('PATH'),
    default: '-',
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Path of the error log. "-" is standard error.',
  },
  error_log_format: {
    section: 'Logging',
    flags: ['--error-logformat', '--error-log-format'],
    kind: choice(['text', 'json']),
    default: 'text',
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Format of the error log. "text" is Gunicorn\'s format. ' +
      '"json" writes an object per line, for programs that collect logs.',
  },
  loglevel: {
    section: 'Logging',
    flags: ['--log-level'],
    kind: choice(['debug', 'info', 'warning', 'error', 'critical']),
    default: 'info',
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Minimum level to log: debug, info, warning, error or critical.',
  },
  capture_output: {
    section: 'Logging',
    flags: ['--capture-output'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Writes what workers print into the error log. ' +
      'Each line has the process id and the stream, and is written at every loglevel. ' +
      'The last output of a killed worker is not lost.',
  },
  logger_class: {
    section: 'Logging',
    flags: ['--logger-class'],
    kind: orNull(text('FILE:EXPORT')),
    default: null,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'A class of your own that writes the error log, instead of errorlog. ' +
      'The value is FILE or FILE:EXPORT; docs/logging.md has an example. ' +
      'The access log stays as it is.',
  },
  logconfig: {
    section: 'Logging',
    flags: ['--log-config'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'command line',
    doc:
      'File with the settings of the logs, as a JSON object. ' +
      'They override the same settings given one by one. ' +
      "A file for Python's logging module is rejected.",
  },
  logconfig_dict: {
    section: 'Logging',
    kind: jsonObject,
    default: {},
    status: 'supported',
    readBy: 'command line',
    doc:
      'The settings of the logs as one object. ' +
      'It overrides logconfig_json, which overrides logconfig.',
  },
  logconfig_json: {
    section: 'Logging',
    flags: ['--log-config-json'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'command line',
    doc: 'The same as logconfig. It is an error if the file does not exist.',
  },
  syslog_addr: {
    section: 'Logging',
    flags: ['--log-syslog-to'],
    kind: syslogAddress,
    default: 'udp://localhost:514',
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Address of syslog. ' +
      'The value is udp://HOST:PORT, tcp://HOST:PORT, unix://PATH, unix://PATH#dgram or ' +
      'unix://PATH#stream. On the same machine it is usually unix:///dev/log.',
  },
  syslog: {
    section: 'Logging',
    flags: ['--log-syslog'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Sends both logs to syslog, too. The access log is sent even if accesslog is not set.',
  },
  syslog_prefix: {
    section: 'Logging',
    flags: ['--log-syslog-prefix'],
    kind: orNull(text('NAME')),
    default: null,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Program name in syslog. ' +
      'The tags are gunicorn.NAME.error and gunicorn.NAME.access, so that filters for Gunicorn ' +
      'match. The default is proc_name, else the name of the application.',
  },
  syslog_facility: {
    section: 'Logging',
    flags: ['--log-syslog-facility'],
    kind: { ...choice(FACILITIES), placeholder: 'NAME' },
    default: 'user',
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Facility in syslog.',
  },
  enable_stdio_inheritance: {
    section: 'Logging',
    flags: ['-R', '--enable-stdio-inheritance'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'command line',
    doc: 'Keeps standard output and error of a daemon open unless they are terminals.',
  },
  statsd_host: {
    section: 'Logging',
    flags: ['--statsd-host'],
    kind: orNull(statsdAddress),
    default: null,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Address of a statsd server. ' +
      'The value is HOST:PORT (the port defaults to 8125) or unix://PATH. ' +
      'docs/logging.md lists the metrics.',
  },
  dogstatsd_tags: {
    section: 'Logging',
    flags: ['--dogstatsd-tags'],
    kind: textOrEmpty('TAGS'),
    default: '',
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'Tags of each statsd sample, separated by commas. ' +
      "The form is Datadog's: KEY:VALUE,KEY:VALUE.",
  },
  statsd_prefix: {
    section: 'Logging',
    flags: ['--statsd-prefix'],
    kind: textOrEmpty('PREFIX'),
    default: '',
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Prefix of each statsd name. A dot is added after it.',
  },
  enable_backlog_metric: {
    section: 'Logging',
    flags: ['--enable-backlog-metric'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Reports to statsd each second how many connections wait in the kernel to be accepted. ' +
      'Linux and TCP sockets only.',
  },
} as const satisfies Record<string, Row>
