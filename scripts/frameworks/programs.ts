// Whole programs that `scripts/frameworks.ts` serves as npm installs them: the file that their own
// command starts is the application.

import type { Project } from './projects.ts'

const VERDACCIO_CONFIG = `
storage: ./storage
auth: { htpasswd: { file: ./htpasswd } }
packages: { '**': { access: $all } }
log: { type: stdout, format: pretty, level: warn }
`

export const PROGRAMS: Readonly<Record<string, Project>> = {
  'node-red': {
    packages: ['node-red@4'],
    files: {},
    app: 'node_modules/node-red/red.js',
    args: ['--userDir', 'data'],
    // Its flows are in the memory of one process.
    env: { WEB_CONCURRENCY: '1' },
    requests: [
      { path: '/', expected: /<title>Node-RED<\/title>/ },
      { path: '/settings', expected: /"httpNodeRoot":"\/"/ },
      { path: '/red/red.min.js', expected: /RED/ },
    ],
    page: /red-ui-editor/,
  },
  verdaccio: {
    packages: ['verdaccio@6'],
    files: { 'config.yaml': VERDACCIO_CONFIG },
    app: 'node_modules/verdaccio/bin/verdaccio',
    args: ['--config', 'config.yaml'],
    requests: [
      { path: '/-/ping', expected: /\{\}/ },
      { path: '/', expected: /<title>Verdaccio<\/title>/ },
      { path: '/missing', expected: /no such package available/ },
    ],
  },
  'json-server': {
    packages: ['json-server@0.17'],
    files: { 'db.json': '{ "posts": [{ "id": 1, "title": "first" }] }' },
    app: 'node_modules/json-server/lib/cli/bin.js',
    args: ['db.json'],
    requests: [
      { path: '/posts/1', expected: /"title": "first"/ },
      { path: '/posts?title=none', expected: /^\[\]$/ },
      { path: '/missing', expected: /^\{\}$/ },
    ],
  },
}
