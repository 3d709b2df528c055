// Plain English: the words that readers stumble over, the width of a line, and casts, in sources
// and pages.

import { type Check, GENERATED, type Source, typescript } from './sources.ts'

const MAX_COLUMNS = 100
const MAX_CASTS = 90

/**
 * Words and phrases that a reader who does not know the code stumbles over, and what to write
 * instead. Each is searched for in comments, texts and names.
 */
const WORDS: ReadonlyArray<readonly [pattern: RegExp, instead: string]> = [
  [/\bin hand\b/i, 'in flight, pending'],
  [/\b(?:tells?|told|telling)\b/i, 'notify, report, log'],
  [/\b(?:hears?|heard)\b/i, 'is notified of, receives'],
  [/\b(?:says?|said)\b/i, 'is, states, reports'],
  [
    /\b(?!(?<=')nobody')(?:who(?:m)?ever|nobody|somebody|anybody)\b/i,
    'the client that, no listener, another worker',
  ],
  [/\b(?:stands?|stood|standing)\b/i, 'is, is in, overrides'],
  [/\b(?:makes? way|leaves|goes|lets? go)\b/i, 'is evicted, exits, closes, releases'],
  [/\bof other make\b/i, 'another implementation'],
  [/\b(?:the crossing|crosse[sd] to|cross to)\b/i, 'the bridge, is passed to JavaScript'],
  [/\b(?:at work|at rest|in the meantime)\b/i, 'running, idle, meanwhile'],
  [/\bso (?:long|many)\b/i, 'how long, the number of'],
  [/\b(?:(?:is|are|be) had)\b/i, 'is available'],
  [/\b(?:is|are) meant\b/i, 'is requested, is intended'],
  [/\b(?:by half|for ever|for want of)\b/i, 'half-open, forever, without'],
  [/\b(?:of which|for whom|such an? one|what comes of)\b/i, 'a sentence with a subject'],
  [
    /\b(?:worker|process|arbiter|master)s? (?:(?:has|have|had|was|were|is|are) )?ended\b/i,
    'exited',
  ],
  [
    /\bbehind\b(?! (?:an? |the |your |any |its |some |one )?(?:trusted |reverse )*(?:prox|load.balancer|balancer|nginx|HAProxy|Caddy|Envoy|Traefik|CDN|gateway))/i,
    'after, later; "behind" is for proxies',
  ],
]

/** This table, and texts that are another program's. */
const EXEMPT = ['scripts/tidy/language.ts', '__test__/scripts/tidy.spec.ts']

export const LANGUAGE: readonly Check[] = [
  {
    sentence: 'sources and pages use the terms of the field',
    find: (sources) =>
      written(sources).flatMap(({ path, text }) =>
        text
          .split('\n')
          .flatMap((line, index) => wordsOf(line).map((found) => `${path}:${index + 1}: ${found}`)),
      ),
  },
  {
    sentence: `a line has at most ${MAX_COLUMNS} columns`,
    find: (sources) =>
      written(sources)
        .filter(({ path }) => !path.endsWith('.json'))
        .flatMap(({ path, text }) =>
          text
            .split('\n')
            .map((line, index) => ({ columns: [...line].length, number: index + 1 }))
            .filter(({ columns }) => columns > MAX_COLUMNS)
            .map(({ columns, number }) => `${path}:${number}: ${columns} columns`),
        ),
  },
  {
    sentence: `ts/ has at most ${MAX_CASTS} casts`,
    find: (sources) => {
      const found = typescript(sources).flatMap(({ path, code }) =>
        castsOf(code).map((line) => `${path}:${line}`),
      )
      return found.length > MAX_CASTS ? [`${found.length} casts`, ...found] : []
    },
  },
]

/** The words of the list that a line has, each with what to write instead. */
export function wordsOf(line: string): string[] {
  return WORDS.flatMap(([pattern, instead]) => {
    const found = pattern.exec(line)
    return found === null ? [] : [`"${found[0]}": ${instead}`]
  })
}

/** What a person has written: no generated file, no page of measurements. */
function written(sources: readonly Source[]): Source[] {
  return sources.filter(
    ({ path }) =>
      !GENERATED.includes(path) &&
      !EXEMPT.includes(path) &&
      !/^(?:package(?:-lock)?\.json|docs\/settings\.schema\.json|bench\/results\/\d)/.test(path),
  )
}

/** The lines of type assertions; `as const` and renamed imports are none. */
function castsOf(code: string): number[] {
  const own = code
    .replace(/^(?:import|export)\b[^;]*?\bfrom '[^']*'$/gm, (clause) =>
      clause.replace(/[^\n]/g, ' '),
    )
    .replace(/'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g, (string) => string.replace(/[^\n]/g, ' '))
  return [...own.matchAll(/[\w)\]}'"`] as (?!const\b)(?=[A-Za-z{[(])/g)].map(
    (match) => own.slice(0, match.index).split('\n').length,
  )
}
