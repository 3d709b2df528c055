/** Translates a config file of Gunicorn, which is read and not executed. */

import { basename } from 'node:path'

import { findSettingName, rowOf } from '../settings/names.ts'
import { type Draft, type Part, settingPart } from './draft.ts'
import { findGunicornRow } from './gunicorn-table.ts'
import { readStatements, type Statement } from './python.ts'

/** Longer texts of Python are cut in comments, in characters. */
const MAX_SHOWN_LENGTH = 500

/** The extensions of Gunicorn's config files. */
export const GUNICORN_EXTENSIONS: readonly string[] = ['.py', '.conf']

/** Translates the text of a config file. */
export function translateGunicorn(source: string, path: string): Draft {
  const statements = readStatements(source)
  // As in Python, the last assignment of a name is used.
  const last = statements.filter(
    ({ name }, index) =>
      name === undefined || !statements.slice(index + 1).some((later) => later.name === name),
  )
  const parts = last.flatMap(translateStatement)
  const hasApp = parts.some((part) => 'setting' in part && part.setting === 'app')
  return {
    title: `Written by monoceros migrate from ${basename(path)}, a config file of Gunicorn.`,
    parts: [...(hasApp ? [] : [{ comment: APP_COMMENT }]), ...parts],
  }
}

const APP_COMMENT =
  "app: name the file of the Node.js application, as in app: './server.js', or pass it on the " +
  'command line.'

function translateStatement(statement: Statement): Part[] {
  const { name = '', text, expression, literal } = statement
  const shown = shownPython(text)
  const setting = findSettingName(name)
  if (setting === undefined)
    return isDocstring(text) ? [] : [{ comment: `${shown}\n-> It is no setting.` }]
  const row = findGunicornRow(name)
  const known = rowOf(setting)
  if (literal?.value === null) return []
  if (row !== undefined && row.convert === undefined)
    return [{ comment: `${shown}\n-> ${row.doc}` }]
  if (known.status === 'inapplicable') {
    return known.whenSet === 'ignore'
      ? []
      : [{ comment: `${shown}\n-> It has no effect: ${known.reason}.` }]
  }
  const value =
    literal === undefined
      ? row?.convertExpression?.(expression ?? '')
      : (row?.convert?.(literal.value) ?? literal.value)
  if (value === undefined) {
    return [{ comment: `${shown}\n-> The value is not a literal: write it in TypeScript.` }]
  }
  const comment = literal === undefined ? `${shown}\n-> ${row?.doc ?? ''}` : undefined
  const part = settingPart(setting, value, { origin: name, comment })
  return part === undefined ? [] : [part]
}

function shownPython(text: string): string {
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)} ...` : text
}

function isDocstring(text: string): boolean {
  return /^[rRuU]?["']/.test(text)
}
