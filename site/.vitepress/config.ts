// The documentation site. Its pages are those of docs/, and docs/index.md is its navigation, so
// that a page reads the same here and in the repository.

import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DefaultTheme, defineConfig, type MarkdownRenderer } from 'vitepress'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Folder of the site for files of the repository that are not pages. */
const FILES = 'files'

/** Files of the repository that a page links to, from its root. */
const linkedFiles = new Set<string>()

export default defineConfig({
  title: 'Monoceros',
  description: 'A supervised, pre-fork application server for Node.js',
  srcDir: '../docs',
  // Relative to a host's root. A site below a path sets it, with a slash at both ends.
  base: process.env.DOCS_BASE ?? '/',
  cleanUrls: false,
  // Error texts contain words in angle brackets; pages have no HTML but a generator's comment.
  markdown: {
    html: false,
    anchor: { slugify: anchorOf },
    // The highlighter does not know these two.
    languageAlias: { caddy: 'nginx', haproxy: 'nginx' },
    config: adaptPages,
  },
  themeConfig: {
    sidebar: sidebarOf(readFileSync(join(ROOT, 'docs/index.md'), 'utf8')),
    outline: [2, 3],
    search: { provider: 'local' },
  },
  buildEnd({ outDir }) {
    for (const file of linkedFiles) {
      const copy = join(outDir, FILES, file)
      mkdirSync(dirname(copy), { recursive: true })
      copyFileSync(join(ROOT, file), copy)
    }
  },
})

/** A group for each heading of the index, an item for each link in its list. */
function sidebarOf(index: string): DefaultTheme.SidebarItem[] {
  return index
    .split(/^## /m)
    .slice(1)
    .map((section) => ({
      text: section.split('\n', 1)[0],
      items: [...section.matchAll(/^- \[(.+?)\]\((\S+?)\.md\)/gm)].map(([, text, page]) => ({
        text,
        link: `/${page}`,
      })),
    }))
}

/** The anchor that GitHub gives a heading, so that a link works there and here. */
function anchorOf(heading: string): string {
  const text = heading.trim().toLowerCase()
  return text.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')
}

function adaptPages(markdown: MarkdownRenderer): void {
  markdown.core.ruler.before('normalize', 'generated-comment', (state) => {
    state.src = state.src.replace(/^<!--[^>]*-->\n/, '')
  })
  // Indented blocks are commands or code; the theme colors only blocks that name a language.
  markdown.core.ruler.push('indented-blocks', ({ tokens }) => {
    for (const token of tokens) {
      if (token.type !== 'code_block') continue
      Object.assign(token, { type: 'fence', tag: 'code', info: languageOf(token.content) })
    }
  })
  // Links to files outside of docs/ lead to copies of these files.
  markdown.core.ruler.push('linked-files', ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.attrGet('href')
      if (token.type !== 'link_open' || href === null || /^\w+:|^#/.test(href)) continue
      const file = posix.join('docs', posix.dirname(env.relativePath), href)
      if (file.startsWith('docs/')) continue
      linkedFiles.add(file)
      token.attrSet('href', `${process.env.DOCS_BASE ?? '/'}${FILES}/${file}`)
      // VitePress takes a link with a target as it is.
      token.attrSet('target', '_self')
    }
  })
}

function languageOf(code: string): string {
  if (/^(?:import|export|const|module)\b|=>|^\s*\/\/ /m.test(code)) return 'js'
  return code.startsWith('{') ? 'json' : 'sh'
}
