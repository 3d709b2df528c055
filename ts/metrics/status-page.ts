/**
 * The status page: one HTML document that needs no other resource but its data. Its parts are files
 * in `status-page/`, here and in `dist/`.
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

import type { Page } from './server.ts'

/** Reads the parts, and returns the page with a policy that allows nothing else to run. */
export function loadStatusPage(): Page {
  const [html, style, script] = ['page.html', 'style.css', 'script.js'].map(readPart)
  const body = html
    ?.replace('<style></style>', () => `<style>${style}</style>`)
    .replace('<script></script>', () => `<script>${script}</script>`)
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(style)}'`,
    `script-src '${hashOf(script)}'`,
    "connect-src 'self'",
    // The empty icon, which saves a request.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    status: 200,
    contentType: 'text/html; charset=utf-8',
    body: body ?? '',
    headers: {
      'Content-Security-Policy': policy.join('; '),
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Resource-Policy': 'same-origin',
    },
  }
}

function readPart(name: string): string {
  // In dist/ this module is in another folder, beside `metrics/`.
  return readFileSync(new URL(`../metrics/status-page/${name}`, import.meta.url), 'utf8')
}

function hashOf(text = ''): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
