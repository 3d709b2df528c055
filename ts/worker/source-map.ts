/** Translates the positions in a stack trace to the original sources, by source maps. */

import { readFileSync, statSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Larger files are not read: the watcher's thread has little memory. */
const MAX_FILE_BYTES = 8 * 1024 * 1024

/** Translates each frame whose file names a source map; the other lines stay as they are. */
export function mapStack(stack: string): string {
  const maps = new Map<string, LoadedSourceMap | undefined>()
  return stack
    .split('\n')
    .map((line) => mapLine(line, maps))
    .join('\n')
}

interface LoadedSourceMap {
  readonly map: SourceMap
  readonly directory: string
}

function mapLine(line: string, maps: Map<string, LoadedSourceMap | undefined>): string {
  const [, before, place, row, column, after] =
    /^(\s+at (?:.*\()?)((?:file:\/\/)?\/[^()]*?):(\d+):(\d+)(\)?)$/.exec(line) ?? []
  if (before === undefined || place === undefined) return line
  const file = place.startsWith('file:') ? fileURLToPath(place) : place
  if (!maps.has(file)) maps.set(file, loadMap(file))
  const loaded = maps.get(file)
  // Source maps count lines and columns from 0, stack traces from 1.
  const entry = loaded?.map.findEntry(Number(row) - 1, Number(column) - 1)
  if (loaded === undefined || entry === undefined || !('originalSource' in entry)) return line
  const source = entry.originalSource.replace(/^file:\/\//, '')
  const position = `${entry.originalLine + 1}:${entry.originalColumn + 1}`
  return `${before}${resolve(loaded.directory, source)}:${position}${after}`
}

function loadMap(file: string): LoadedSourceMap | undefined {
  try {
    const link = findSourceMapUrl(readSmallFile(file))
    if (link === undefined) return undefined
    const data = /^data:application\/json[^,]*?(;base64)?,(.*)$/.exec(link)
    const path = resolve(dirname(file), link)
    const text =
      data === null
        ? readSmallFile(path)
        : Buffer.from(data[2] ?? '', data[1] === undefined ? 'utf8' : 'base64').toString()
    return { map: new SourceMap(JSON.parse(text)), directory: dirname(data === null ? path : file) }
  } catch {
    // The map is missing or broken: the position in the file that runs is good enough.
    return undefined
  }
}

function findSourceMapUrl(text: string): string | undefined {
  return [...text.matchAll(/^\/\/[#@] sourceMappingURL=(\S+)\s*$/gm)].at(-1)?.[1]
}

function readSmallFile(path: string): string {
  return statSync(path).size > MAX_FILE_BYTES ? '' : readFileSync(path, 'utf8')
}
