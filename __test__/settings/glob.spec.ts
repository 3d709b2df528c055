// Matches paths against file name patterns.
import test from 'ava'

import { globBase, globToRegExp, isGlob } from '../../ts/settings/glob.ts'

const CASES: readonly (readonly [pattern: string, path: string, matches: boolean])[] = [
  ['/a/*.html', '/a/b.html', true],
  ['/a/*.html', '/a/b/c.html', false],
  ['/a/**/*.html', '/a/b.html', true],
  ['/a/**/*.html', '/a/b/c/d.html', true],
  ['/a/**/*.html', '/b/c.html', false],
  ['/a/**', '/a/b/c', true],
  ['/a/?.js', '/a/b.js', true],
  ['/a/?.js', '/a/bc.js', false],
  ['/a/[bc].js', '/a/c.js', true],
  ['/a/[!bc].js', '/a/c.js', false],
  ['/a+(x)/*.js', '/a+(x)/b.js', true],
  ['/a/b.js*', '/a/bxjs', false],
]

for (const [pattern, path, matches] of CASES) {
  test(`the pattern ${pattern} ${matches ? 'matches' : 'does not match'} ${path}`, (t) => {
    t.is(globToRegExp(pattern).test(path), matches)
  })
}

test('globBase is the last directory of a pattern without special characters', (t) => {
  t.is(globBase('/a/b/*.html'), '/a/b')
  t.is(globBase('/a/**/*.html'), '/a')
  t.is(globBase('/*'), '/')
  t.false(isGlob('/a/b.html'))
})
