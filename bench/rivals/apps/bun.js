// The response of all rivals, by Bun's own server. The first process starts the others: they share
// the port, as Bun's documentation describes.

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  reusePort: true,
  fetch: () => new Response('Hello, World!', { headers: { 'content-type': 'text/plain' } }),
})

const others = Number(process.env.WORKERS) - 1
const children = Array.from({ length: others }, () =>
  Bun.spawn([process.execPath, import.meta.path], { env: { ...process.env, WORKERS: '1' } }),
)
process.on('SIGTERM', () => {
  for (const child of children) child.kill()
  process.exit()
})
