// The subjects of commits: `area: verb the object`, imperative, since the rule has been checked.

import { execFileSync } from 'node:child_process'
import { ROOT } from '../command.ts'
import { wordsOf } from './language.ts'
import type { Check } from './sources.ts'

const MAX_COLUMNS = 72

/** The last commit before the rule; where it is not in the history, no subject is checked. */
const LAST_UNCHECKED = '13114f85ec17decec4ede6c523b8ce2aeb3bb53e'

/** Verbs that a subject may begin with; another imperative is added here. */
const VERBS: ReadonlySet<string> = new Set(
  `
  accept add address allow answer apply ask assert attribute await batch bind block bound build
  bump cache call cap catch change check clarify clean clear close collect compare compute copy
  correct count cover create cut decide declare decode default define delay delete derive describe
  detect disable document drain drive drop emit enable encode end evict exempt exit expect
  explain export expose extract fail fence fetch fix flush fold follow format free gate generate
  give group guard hand handle hide hold ignore implement import include inform inline install
  join keep kill land let lift limit link list listen load lock log look lower make map mark
  match measure merge migrate mount move name narrow note notify number open order park parse
  pass pin place poll pool prefer prepare print probe prove publish put queue raise read rebuild
  record reduce refresh refuse reject release reload remove rename render reopen repeat replace
  report require reset resolve respect respond restart restore restrict resume retry return
  reuse revert rewrite route run save scale schedule see select send separate serve set
  shorten show shrink shut simplify size skip sort spawn speed split start state step stop store
  stream strip support suspend swap switch take test throw time track trim try tune turn type
  unify unlock unref update upgrade use validate verify wait wake walk warn watch withdraw wrap
  write
  `.split(/\s+/),
)

export const COMMITS: readonly Check[] = [
  {
    sentence: 'a commit subject is `area: verb the object`, imperative, in 72 columns',
    find: (sources) =>
      sources.some(({ path }) => path === 'package.json') ? subjects().flatMap(faultOf) : [],
  },
]

/** What is wrong with a subject; exported for its tests. */
export function faultOf(subject: string): string[] {
  const [, verb = ''] = /^[\w./, -]+: (\S+) \S/.exec(subject) ?? []
  if (verb === '') return [`"${subject}": no \`area: verb the object\``]
  if (subject.length > MAX_COLUMNS) return [`"${subject}": ${subject.length} columns`]
  if (!VERBS.has(verb)) {
    return [`"${subject}": "${verb}" is not in the list of imperative verbs`]
  }
  return wordsOf(subject)
}

function subjects(): string[] {
  try {
    const log = execFileSync(
      'git',
      ['log', '--no-merges', '--format=%s', `${LAST_UNCHECKED}..HEAD`],
      {
        cwd: ROOT,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    )
    return log.split('\n').filter((subject) => subject !== '')
  } catch {
    // A tree without git, or a clone without that commit, has no subjects to check.
    return []
  }
}
