// The response of all rivals, by Deno's own server.

// biome-ignore lint/style/noDefaultExport: `deno serve` takes the default export.
export default {
  fetch: () => new Response('Hello, World!', { headers: { 'content-type': 'text/plain' } }),
}
