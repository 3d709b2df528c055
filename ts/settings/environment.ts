/**
 * Reads settings from the environment variables `MONOCEROS_<NAME>`.
 */
import { monocerosError } from '../errors.ts'
import type { SettingEntry, SettingsLayer } from './layer.ts'
import {
  ENVIRONMENT_PREFIX,
  knownNames,
  rowOf,
  settingNameOfVariable,
  variableOf,
} from './names.ts'
import { didYouMean } from './nearest.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Variables with the prefix that are not settings, with a description for docs/settings.md. */
export const OTHER_VARIABLES: Readonly<Record<string, string>> = {
  MONOCEROS_CMD_ARGS: 'more command line arguments, split as a shell does.',
  MONOCEROS_HANDOVER:
    'set by an arbiter for a new arbiter that it starts: the sockets and totals to take over.',
  MONOCEROS_LOOP:
    'with the value `io-thread`, the native engine always serves on a thread of its own, for ' +
    'comparisons.',
  MONOCEROS_WORKER: 'set for workers: the number of the slot, from 1.',
}

// Kubernetes sets variables for every service of a namespace in every container. A service called
// "monoceros" has our prefix.
const KUBERNETES = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$/

/** Returns the settings among the variables. */
export function environmentLayer(env: Environment): SettingsLayer {
  const given: SettingEntry[] = []
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || variable in OTHER_VARIABLES) continue
    const name = settingNameOfVariable(variable)
    if (name === undefined && KUBERNETES.test(variable)) continue
    if (name === undefined) throw unknownVariable(variable)
    // `docker run -e X=` and compose files set an empty variable for "not set".
    if (text === undefined || text === '') continue
    const separator = rowOf(name).kind.list?.environmentSeparator
    const value = separator === undefined ? text : splitList(text, separator)
    given.push({ name, value, subject: variable })
  }
  return { origin: 'environment', source: 'environment', given }
}

function splitList(text: string, separator: string): string[] {
  return text
    .split(separator)
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function unknownVariable(variable: string): Error {
  const name = variable.slice(ENVIRONMENT_PREFIX.length)
  const ending = didYouMean(name, knownNames(), variableOf)
  return monocerosError('ERR_ENVIRONMENT_UNKNOWN', variable, ending)
}
