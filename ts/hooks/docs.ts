/** docs/hooks.md, made from the table. */

import { HOOK_NAMES, HOOKS, type HookRow } from './table.ts'

const HEAD = `# Hooks

Functions of yours that are called at moments in the life of the arbiter and its workers, with Gunicorn's names. They stand
in the config file:

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

A hook may also be a text, \`./hooks.js:name\` (relative to \`chdir\`), which is how a JSON file or the environment names one.

The arbiter calls its hooks itself; it goes on with its other work only when a function returns, so keep them short. An
error in what a hook leaves running (a timer, a promise that nobody waits for) is logged as \`Unexpected error\`, and the
arbiter goes on. Workers are processes of their own: they load the config file themselves, once, and only when it has a hook
of theirs. Nothing that a hook of the arbiter has in memory reaches a worker; hand over variables by \`pre_fork\`.

\`server\` has \`pid\`, \`log\`, \`cfg\` (all settings), \`num_workers\`, \`timeout\` and \`address\`; in the arbiter also \`LISTENERS\`,
\`WORKERS\` (by process id) and \`kill_worker(pid, signal)\`. \`worker\` has \`pid\`, \`ppid\` and \`age\`; in its own process also \`nr\`
(requests served), \`max_requests\`, \`alive\`, \`log\`, \`cfg\`, \`sockets\` and \`notify()\`.

\`pre_request\` and \`post_request\` are not called where \`worker_class\` is a module of your own.

| hook | process | arguments | when | an exception |
| --- | --- | --- | --- | --- |
`

const FOOT = `
Not built yet, and refused with a message that says so: \`on_dirty_starting\`, \`dirty_post_fork\`, \`dirty_worker_init\` and \`dirty_worker_exit\` (with the task pool).

## The application's own life cycle

A module may export \`startup\` and \`shutdown\` beside the application (\`asgi_lifespan\`): \`startup()\` is waited for before the
worker serves, within \`boot_timeout\`, and a failure is one of the boot; \`shutdown()\` is waited for after the last request,
within what is left of \`graceful_timeout\`. A quick stop (INT, QUIT) does not call it.
`

/** The text of docs/hooks.md. */
export function hooksPage(): string {
  const rows = HOOK_NAMES.map((name) => {
    const row: HookRow = HOOKS[name]
    return `| \`${name}\` | ${row.process} | ${row.arguments.join(', ')} | ${row.doc} | ${row.failure} |\n`
  })
  return HEAD + rows.join('') + FOOT
}
