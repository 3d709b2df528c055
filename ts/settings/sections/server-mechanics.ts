/** The settings of "Server Mechanics". */
import { bool, choice, list, octal, orNull, text, textList } from '../kinds.ts'
import { headerFieldNames, headerFieldValues, mountPath, peerAddresses } from '../network-kinds.ts'
import type { Row } from '../rows.ts'
import { environmentEntry } from '../worker-kinds.ts'

export const SERVER_MECHANICS_ROWS = {
  preload_app: {
    section: 'Server Mechanics',
    flags: ['--preload'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Loads the application in a separate process before workers start, to check that it loads. ' +
      'If it does not load, the start fails with its error. ' +
      'Memory is not shared: V8 cannot fork. ' +
      'The code that Node compiles is cached for the workers (Node 22.1 and newer).',
  },
  sendfile: {
    section: 'Server Mechanics',
    flags: ['--no-sendfile'],
    flagTurnsOff: true,
    kind: bool,
    default: true,
    // `false` is the current behaviour, and `true` only asks for speed: neither needs a warning.
    status: 'inapplicable',
    whenSet: 'ignore',
    reason: 'the kernel sends no files yet',
    doc: 'Whether the kernel sends bodies that are files, as by sendfile(2).',
  },
  reuse_port: {
    section: 'Server Mechanics',
    flags: ['--reuse-port'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Sets SO_REUSEPORT on the listening sockets. ' +
      'Another server can then bind the same address.',
  },
  chdir: {
    section: 'Server Mechanics',
    flags: ['--chdir'],
    kind: text('PATH'),
    // An empty text means the start directory. A resolved config always has the path.
    default: '',
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Working directory of the workers. ' +
      'The default is the start directory, where Monoceros looks for the config file in any case.',
  },
  daemon: {
    section: 'Server Mechanics',
    flags: ['-D', '--daemon'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'command line',
    doc:
      'Runs in the background. ' +
      'The command exits with 0 when all workers are ready, else with the status of the failed ' +
      'start.',
  },
  raw_env: {
    section: 'Server Mechanics',
    flags: ['-e', '--env'],
    kind: list({ item: environmentEntry, placeholder: 'KEY=VALUE', separator: '\n' }),
    default: [],
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'Variable for the environment of the workers; repeat the flag for several. ' +
      'In the environment, line ends separate the entries.',
  },
  pidfile: {
    section: 'Server Mechanics',
    flags: ['-p', '--pid', '--pidfile'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'supported',
    readBy: 'arbiter',
    doc:
      'File for the process id of the arbiter. ' +
      'The start fails while the process that the file names is running.',
  },
  worker_tmp_dir: {
    section: 'Server Mechanics',
    flags: ['--worker-tmp-dir'],
    kind: orNull(text('PATH')),
    default: null,
    status: 'inapplicable',
    whenSet: 'warn',
    reason: 'the heartbeat is in shared memory and has no file',
    doc: 'Directory of heartbeat files.',
  },
  user: {
    section: 'Server Mechanics',
    flags: ['-u', '--user'],
    kind: orNull(text('USER')),
    default: null,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc:
      'User that workers run as, by name or number. ' +
      'The group is that of the user unless group names another. ' +
      'A number that the system does not know requires group. ' +
      'The arbiter keeps its own privileges. ' +
      'Log files and unix sockets become property of the user.',
  },
  group: {
    section: 'Server Mechanics',
    flags: ['-g', '--group'],
    kind: orNull(text('GROUP')),
    default: null,
    status: 'supported',
    readBy: 'arbiter and worker',
    doc: 'Group that workers run as, by name or number.',
  },
  umask: {
    section: 'Server Mechanics',
    flags: ['-m', '--umask'],
    kind: octal,
    default: 0,
    status: 'supported',
    readBy: 'arbiter',
    doc: 'Mode mask of unix socket files, in octal: their mode is 0777 without these bits.',
  },
  initgroups: {
    section: 'Server Mechanics',
    flags: ['--initgroups'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'worker',
    doc: 'Adds all groups that the user is a member of, not only the one of group.',
  },
  tmp_upload_dir: {
    section: 'Server Mechanics',
    kind: orNull(text('PATH')),
    default: null,
    status: 'inapplicable',
    whenSet: 'ignore',
    reason: 'Gunicorn never reads it either',
    doc: 'Directory for uploads.',
  },
  secure_scheme_headers: {
    section: 'Server Mechanics',
    kind: headerFieldValues,
    default: {
      'X-FORWARDED-PROTOCOL': 'ssl',
      'X-FORWARDED-PROTO': 'https',
      'X-FORWARDED-SSL': 'on',
    },
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'pairs', register: {} },
    doc:
      'Header fields, with a value each, by which a trusted proxy reports that the client uses ' +
      'https. Any other value means http. Only peers in forwarded_allow_ips are trusted. ' +
      'Two fields that contradict each other get a 400. In the environment, the value is JSON.',
  },
  forwarded_allow_ips: {
    section: 'Server Mechanics',
    flags: ['--forwarded-allow-ips'],
    kind: peerAddresses,
    default: '127.0.0.1,::1',
    defaultFrom: {
      variable: 'FORWARDED_ALLOW_IPS',
      toText: (list) => list,
      allowed: 'IP addresses and networks (10.0.0.0/8) with commas between them, or *',
    },
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'text', register: '' },
    doc:
      'Peers whose forwarding fields are trusted: addresses, networks such as 10.0.0.0/8, or * ' +
      'for all. Peers on a unix socket are always trusted. ' +
      'If the environment sets FORWARDED_ALLOW_IPS, that is the default.',
  },
  forwarded_headers: {
    section: 'Server Mechanics',
    flags: ['--forwarded-headers'],
    kind: choice(['off', 'x-forwarded', 'forwarded']),
    default: 'off',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'choice' },
    doc:
      'Header fields from which to take the address and host of the client. ' +
      '"x-forwarded" reads X-Forwarded-For and X-Forwarded-Host, "forwarded" reads Forwarded ' +
      '(RFC 7239). Only peers in forwarded_allow_ips are trusted. ' +
      'The client is the right-most address that is not in forwarded_allow_ips. ' +
      'There is no safe default: a proxy that does not set the field passes on what the client ' +
      'sent.',
  },
  pythonpath: {
    section: 'Server Mechanics',
    flags: ['--pythonpath'],
    kind: orNull(text('PATHS')),
    default: null,
    status: 'inapplicable',
    whenSet: 'reject',
    reason: 'Node has no search path of this kind; for CommonJS modules set NODE_PATH with --env',
    doc: 'Directories to search for modules.',
  },
  paste: {
    section: 'Server Mechanics',
    flags: ['--paste', '--paster'],
    kind: orNull(text('FILE')),
    default: null,
    status: 'inapplicable',
    whenSet: 'reject',
    reason: 'it loads a Python application',
    doc: 'A PasteDeploy application.',
  },
  proxy_protocol: {
    section: 'Server Mechanics',
    flags: ['--proxy-protocol'],
    kind: choice(['off', 'v1', 'v2', 'auto'], { bareFlagValue: 'auto' }),
    default: 'off',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'choice', node: 'ignored' },
    doc:
      'Takes the address of the client from a PROXY protocol header at the start of a ' +
      'connection. The value is the accepted version: v1, v2 or either (auto). ' +
      'A connection without the header is served as usual.',
  },
  proxy_allow_ips: {
    section: 'Server Mechanics',
    flags: ['--proxy-allow-from'],
    kind: peerAddresses,
    default: '127.0.0.1,::1',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'text', register: '', node: 'ignored' },
    doc:
      'Peers that may send the PROXY protocol: addresses, networks, or * for all. ' +
      'Others get a 403 for it.',
  },
  protocol: {
    section: 'Server Mechanics',
    flags: ['--protocol'],
    kind: choice(['http', 'uwsgi']),
    default: 'http',
    status: 'planned',
    doc: 'Protocol of the listening sockets.',
  },
  uwsgi_allow_ips: {
    section: 'Server Mechanics',
    flags: ['--uwsgi-allow-from'],
    kind: text('ADDRESSES'),
    default: '127.0.0.1,::1',
    status: 'planned',
    doc: 'Peers that may use the uwsgi protocol.',
  },
  raw_paste_global_conf: {
    section: 'Server Mechanics',
    flags: ['--paste-global'],
    kind: textList('KEY=VALUE'),
    default: [],
    status: 'inapplicable',
    whenSet: 'reject',
    reason: 'it belongs to PasteDeploy, which loads Python applications',
    doc: 'Values for a PasteDeploy application.',
  },
  permit_obsolete_folding: {
    section: 'Server Mechanics',
    flags: ['--permit-obsolete-folding'],
    kind: bool,
    default: false,
    status: 'inapplicable',
    whenSet: 'reject',
    reason:
      'two parsers may read a folded field in two ways, which allows request smuggling; RFC 9112 ' +
      'section 5.2 lets a server reject it',
    doc: 'Accepts header fields that are folded over several lines.',
  },
  strip_header_spaces: {
    section: 'Server Mechanics',
    flags: ['--strip-header-spaces'],
    kind: bool,
    default: false,
    status: 'inapplicable',
    whenSet: 'reject',
    reason:
      'RFC 9112 section 5.1 requires a server to reject a space before the colon: it allows ' +
      'request smuggling',
    doc: 'Accepts spaces before the colon of a header field.',
  },
  permit_unconventional_http_method: {
    section: 'Server Mechanics',
    flags: ['--permit-unconventional-http-method'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'flag', node: 'ignored' },
    doc:
      'Accepts methods with lower-case letters or #. ' +
      'Also accepts methods shorter than 3 or longer than 20 characters.',
  },
  permit_unconventional_http_version: {
    section: 'Server Mechanics',
    flags: ['--permit-unconventional-http-version'],
    kind: bool,
    default: false,
    status: 'inapplicable',
    whenSet: 'reject',
    reason: 'no version of HTTP/1 exists other than 1.0 and 1.1',
    doc: 'Accepts HTTP versions other than 1.0 and 1.1.',
  },
  casefold_http_method: {
    section: 'Server Mechanics',
    flags: ['--casefold-http-method'],
    kind: bool,
    default: false,
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'flag', node: 'ignored' },
    doc:
      'Converts methods to upper case. ' +
      'Lower-case methods also need permit_unconventional_http_method.',
  },
  forwarder_headers: {
    section: 'Server Mechanics',
    flags: ['--forwarder-headers'],
    kind: headerFieldNames,
    default: 'SCRIPT_NAME,PATH_INFO',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'text', register: '' },
    doc:
      'Header fields with underscores in their names that a trusted proxy may set; * means all. ' +
      'Trusted proxies are those in forwarded_allow_ips. ' +
      'SCRIPT_NAME sets the mount path of the request.',
  },
  header_map: {
    section: 'Server Mechanics',
    flags: ['--header-map'],
    kind: choice(['drop', 'refuse', 'dangerous']),
    default: 'drop',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'choice' },
    doc:
      'What happens to header fields with an underscore in the name. ' +
      'Some programs confuse such a name with the same name with a hyphen. ' +
      '"drop" removes the fields, "refuse" responds with 400, "dangerous" keeps them.',
  },
  root_path: {
    section: 'Server Mechanics',
    flags: ['--root-path'],
    kind: mountPath,
    default: '',
    status: 'supported',
    readBy: 'worker',
    engine: { type: 'text' },
    doc:
      'Path under which the application is mounted. Requests for other paths get a 500. ' +
      'The application finds the path in req.baseUrl, and req.url without it. ' +
      'If it is not set, SCRIPT_NAME from the environment is used.',
  },
} as const satisfies Record<string, Row>
