// Fetch style: a Request comes in, a Response is returned. The same file runs on Deno, Bun and
// Cloudflare.

export default {
  fetch(request) {
    const { pathname } = new URL(request.url)
    return new Response(`Hello from Monoceros, ${request.method} ${pathname}\n`)
  },
}
