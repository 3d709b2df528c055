// The links of the documentation site: dead ones are reported.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { deadLinks } from '../../scripts/site.ts'
import { temporaryDirectory } from '../temporary.ts'

const link = (to: string) => `<a class="link" href="${to}">link</a>`

for (const base of ['/', '/docs/']) {
  test(`a link of a site at ${base} to no file or to no heading is dead`, (t) => {
    const folder = temporaryDirectory('site')
    mkdirSync(join(folder, 'design'))
    writeFileSync(join(folder, 'note.txt'), '')
    writeFileSync(join(folder, 'index.html'), '<h2 id="start">Start</h2>')
    const links = [
      ...[base, `${base}index.html#start`, `${base}note.txt`, '../index.html', '#own'],
      ...['https://example.com/gone', `${base}gone.html`, '../index.html#gone', '#gone'],
    ]
    const page = `<h2 id="own">Own</h2>${links.map(link).join('')}`
    writeFileSync(join(folder, 'design/page.html'), page)
    t.deepEqual(deadLinks(folder, base), {
      links: 8,
      dead: [`${base}gone.html`, '../index.html#gone', '#gone'].map(
        (to) => `design/page.html: ${to}`,
      ),
    })
  })
}
