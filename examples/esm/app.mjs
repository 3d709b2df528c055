// An ES module with a named export and top-level await: `monoceros examples/esm/app.mjs:app`.

import { readFile } from 'node:fs/promises'

const source = await readFile(new URL(import.meta.url), 'utf8')

export const app = (req, res) => {
  res.end(`This application has ${source.split('\n').length} lines\n`)
}
