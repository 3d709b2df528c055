// `npm run docs:build`: builds the documentation site from docs/ into site/.vitepress/dist, and
// checks that each link of each page leads to a file and to an element. VitePress is installed in
// site/, not by `npm ci` in the root, since no other script needs it.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { isMain, ROOT, run } from './command.ts'

const SITE = join(ROOT, 'site')
const OUTPUT = join(SITE, '.vitepress/dist')

/** Installs what is missing, builds, and checks; false if a step failed. */
async function buildSite(): Promise<boolean> {
  const install = ['ci', '--prefix', SITE, '--engine-strict', '--no-audit', '--no-fund']
  if (!existsSync(join(SITE, 'node_modules')) && (await run('npm', install)).status !== 0)
    return false
  const vitepress = join(SITE, 'node_modules/vitepress/bin/vitepress.js')
  if ((await run(process.execPath, [vitepress, 'build', SITE])).status !== 0) return false
  const { links, dead } = deadLinks(OUTPUT, process.env.DOCS_BASE ?? '/')
  console.log(`${links} links, ${dead.length} dead`)
  for (const line of dead) console.error(line)
  return dead.length === 0
}

/**
 * The links of a built site to other hosts are not counted. A dead one leads to no file of the
 * site, or to no element of its page.
 */
export function deadLinks(folder: string, base: string): { links: number; dead: string[] } {
  const pages = new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.html'))
      .map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')]),
  )
  const isDead = (page: string, link: string): boolean => {
    const [path = '', anchor = ''] = link.split('#').map(decodeURIComponent)
    const named = path.startsWith(base) ? join(folder, path.slice(base.length)) : undefined
    const target = path === '' ? page : (named ?? resolve(dirname(page), path))
    const file = target.endsWith('/') || target === folder ? join(target, 'index.html') : target
    if (!existsSync(file)) return true
    return anchor !== '' && !pages.get(file)?.includes(` id="${anchor}"`)
  }
  let links = 0
  const dead: string[] = []
  for (const [page, html] of pages) {
    const local = [...html.matchAll(/<a [^>]*?href="(?!\w+:)([^"]+)"/g)].map(([, to = '']) => to)
    links += local.length
    for (const link of new Set(local.filter((to) => isDead(page, to))))
      dead.push(`${relative(folder, page)}: ${link}`)
  }
  return { links, dead }
}

if (isMain(import.meta.url)) process.exitCode = (await buildSite()) ? 0 : 1
