/**
 * Settings from the environment: `MONOCEROS_<NAME>`.
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

/** Variables with the prefix that are no settings, and what they are. */
export const OTHER_VARIABLES: Readonly<Record<string, string>> = {
  MONOCEROS_CMD_ARGS: 'Further command line arguments, split as a shell does.',
  MONOCEROS_HANDOVER:
    'Set by an arbiter for one that it starts: the sockets and totals that it hands over.',
  MONOCEROS_WORKER: 'Set for workers: the number of the slot, from 1.',
}

// Kubernetes describes each service of a namespace to each container; one called "monoceros" meets our prefix.
const KUBERNETES = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$/

/** The settings among the variables. */
export function environmentLayer(env: Environment): SettingsLayer {
  const given: SettingEntry[] = []
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || variable in OTHER_VARIABLES) continue
    const name = settingNameOfVariable(variable)
    if (name === undefined && KUBERNETES.test(variable)) continue
    if (name === undefined) throw unknownVariable(variable)
    // Empty is what `docker run -e X=` and compose files give for "not set".
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
