import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { replaceBuiltinImports } from '../../scripts/build.ts'
import { ROOT } from '../../scripts/command.ts'
import { filesBelow } from '../../scripts/freshness.ts'

const SHAPES = [
  ['import fs from "node:fs";', 'const fs = process.getBuiltinModule("node:fs");'],
  ['import * as sp from "node:path";', 'const sp = process.getBuiltinModule("node:path");'],
  [
    'import { readFileSync, statSync as stat } from "node:fs";',
    'const { readFileSync, statSync: stat } = process.getBuiltinModule("node:fs");',
  ],
  [
    'import http, { STATUS_CODES } from "node:http";',
    'const http = process.getBuiltinModule("node:http");\n' +
      'const { STATUS_CODES } = process.getBuiltinModule("node:http");',
  ],
] as const

for (const [written, built] of SHAPES) {
  test(`${written} needs no facade when it is built`, (t) => {
    t.is(
      replaceBuiltinImports(`// before\n${written}\nafter()\n`),
      `// before\n${built}\nafter()\n`,
    )
  })
}

test('what is not an import of a module of node stays', (t) => {
  const text = 'import pino from "pino";\nconst text = `\nimport vm from \'node:vm\'\n`\n'
  t.is(replaceBuiltinImports(text), text)
})

test('no file that is built imports a module of node', (t) => {
  const dist = join(ROOT, 'dist')
  const files = filesBelow(dist).filter(
    (file) => file.endsWith('.js') && !file.includes('/native/'),
  )
  t.true(existsSync(join(dist, 'worker/main.js')) && files.length > 20)
  const importing = files.filter((file) => /^import .*"node:/m.test(readFileSync(file, 'utf8')))
  t.deepEqual(importing, [])
})
