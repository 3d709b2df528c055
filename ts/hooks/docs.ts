/** Writes docs/hooks.md from the table of hooks. */

import { codeList, listItem, paragraph } from '../settings/markdown.ts'
import { HOOK_NAMES, HOOKS, type HookName, type HookRow } from './table.ts'

const HEAD = `# Hooks

A hook is a function of yours that Monoceros calls at a moment in the life of the arbiter or of a
worker. The names are those of Gunicorn. Define hooks in the config file:

\`\`\`ts
import { defineConfig } from 'monoceros'

export default defineConfig({
  app: './app.js',
  when_ready: (server) => server.log.info(\`listening at \${server.address.join(', ')}\`),
  pre_fork: () => ({ env: { STARTED_AT: new Date().toISOString() } }),
  post_request: (worker, req, environ, resp) => {
    worker.log.debug(\`\${environ.REQUEST_METHOD} \${environ.PATH_INFO}\`)
  },
})
\`\`\`

A hook may also be a text, \`./hooks.js:name\` (relative to \`chdir\`). Use this form in a JSON file
or in the environment.

## Where hooks run

The arbiter calls its own hooks. It does nothing else until the function returns, so keep the hooks
short. If code that a hook started fails later (a timer, a promise that is not awaited), the arbiter
logs \`Unexpected error\` and continues.

Workers are separate processes. A worker loads the config file itself, once, and only if the file
has a hook for workers. The memory of the arbiter's hooks is not shared with workers: return
variables from \`pre_fork\` to pass values on.

\`pre_request\` and \`post_request\` are not called if \`worker_class\` is a module of yours.

## Arguments

\`server\` has these properties:

- \`pid\`, \`log\`, \`cfg\` (all settings), \`num_workers\`, \`timeout\` and \`address\`,
- in the arbiter also \`LISTENERS\`, \`WORKERS\` (by process id) and \`kill_worker(pid, signal)\`.

\`worker\` has these properties:

- \`pid\`, \`ppid\` and \`age\`,
- in its own process also \`nr\` (requests served), \`max_requests\`, \`alive\`, \`log\`, \`cfg\`,
  \`sockets\` and \`notify()\`.

## List of hooks
`

const FOOT = `
These hooks belong to the task pool. They are not supported yet, and an error names them:
\`on_dirty_starting\`, \`dirty_post_fork\`, \`dirty_worker_init\` and \`dirty_worker_exit\`.

## Startup and shutdown of the application

A module may export \`startup\` and \`shutdown\` beside the application (see \`asgi_lifespan\`):

- The worker awaits \`startup()\` before it serves, within \`boot_timeout\`. A failure is a failure
  to boot.
- The worker awaits \`shutdown()\` after the last request, within the rest of \`graceful_timeout\`.
  A quick stop (INT, QUIT) does not call it.
`

/** Returns the text of docs/hooks.md. */
export function renderHooksPage(): string {
  return HEAD + HOOK_NAMES.map(hookEntry).join('') + FOOT
}

function hookEntry(name: HookName): string {
  const row: HookRow = HOOKS[name]
  return [
    `\n### ${name}\n`,
    `${paragraph(row.doc)}\n`,
    listItem(`Process: ${row.process}.`),
    listItem(`Arguments: ${codeList(row.arguments)}.`),
    listItem(`After an exception: ${row.onFailure}`),
  ].join('')
}
