/**
 * The page that is served in the place of an application that does not load (setting `reload`). It
 * shows the error, with sources and paths, so it never exists without `reload`.
 */

import http from 'node:http'

import type { Target } from '../engine/engine.ts'

/**
 * Creates a server that responds to every request with 500 and the text: HTML for browsers, else
 * plain text.
 */
export function createFailureServer(text: string): Target {
  const server = http.createServer((req, res) => {
    const asPage = req.headers.accept?.includes('text/html') === true
    res.writeHead(500, {
      'content-type': `text/${asPage ? 'html' : 'plain'}; charset=utf-8`,
      'cache-control': 'no-store',
    })
    res.end(asPage ? renderPage(text) : `${text}\n`)
  })
  return { style: 'node', server }
}

function renderPage(text: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>The application does not load</title>
<style>body { font: 16px sans-serif; margin: 2em } pre { white-space: pre-wrap }</style>
<h1>The application does not load</h1>
<pre>${escapeHtml(text)}</pre>
<p>It is loaded again as soon as a file of it changes.</p>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
