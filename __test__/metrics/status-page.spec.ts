// The document of the status page: what its policy allows, and whether its colors can be read.

import { createHash } from 'node:crypto'
import test from 'ava'

import { loadStatusPage } from '../../ts/metrics/status-page.ts'

const { body, headers } = loadStatusPage()
const policy = headers?.['Content-Security-Policy'] ?? ''

test('the policy allows only the style and the script of the page', (t) => {
  for (const tag of ['style', 'script']) {
    const blocks = [...body.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, 'g'))]
    t.is(blocks.length, 1)
    const text = blocks[0]?.[1] ?? ''
    t.true(text.length > 1_000)
    const hash = createHash('sha256').update(text).digest('base64')
    t.true(policy.includes(`${tag}-src 'sha256-${hash}'`), policy)
  }
  t.true(policy.startsWith("default-src 'none'; "))
  t.notRegex(policy, /unsafe/)
})

test('the page loads nothing from outside and has no inline handlers', (t) => {
  const html = body.replace(/<(style|script)>[\s\S]*?<\/\1>/g, '')
  t.notRegex(html, /\s(?:on\w+|style|src|srcset)=/i)
  const links = [...html.matchAll(/href="([^"]*)"/g)].map((match) => match[1])
  t.deepEqual(new Set(links), new Set(['data:,', 'status.json', 'metrics', 'readyz?verbose']))
  t.notRegex(body, /@import|url\(|innerHTML|insertAdjacentHTML|document\.write|\beval\b/)
})

test('text has a contrast of at least 4.5, in light and in dark', (t) => {
  const themes = [...body.matchAll(/:root \{([^}]*)\}/g)].map(([, block = '']) =>
    Object.fromEntries(
      [...block.matchAll(/--(\w+): (#\w{6});/g)].map(([, name = '', color = '']) => [name, color]),
    ),
  )
  t.is(themes.length, 2)
  for (const theme of themes) {
    for (const name of ['text', 'quiet', 'link', 'first', 'second', 'good', 'bad']) {
      for (const ground of ['back', 'panel']) {
        const ratio = contrast(theme[name] ?? '', theme[ground] ?? '')
        t.true(ratio >= 4.5, `${name} on ${ground}: ${ratio}`)
      }
    }
  }
})

/** The contrast ratio of WCAG 2.2. */
function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light + 0.05) / (dark + 0.05)
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((start) => {
    const share = Number.parseInt(color.slice(start, start + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
