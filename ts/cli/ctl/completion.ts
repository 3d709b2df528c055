/** Completion scripts for shells, and the completion of the prompt. All come from the tables. */

import { COMMAND_NAMES, rowOfCommand } from '../../control/commands.ts'
import { monocerosError } from '../../errors.ts'
import { ROWS } from '../../settings/names.ts'
import { CLIENT_COMMANDS, CTL_OPTIONS } from './arguments.ts'

const SUBCOMMANDS = ['ctl', 'doctor'] as const

type Shell = (typeof CLIENT_COMMANDS.completion.words)[number]

/** Returns the completion script for the shell that the arguments name. */
export function completionScript(args: readonly string[]): string {
  const [shell = '', ...more] = args
  if (!isShell(shell) || more.length > 0) {
    throw monocerosError('ERR_CTL_USAGE', 'completion needs one argument: bash, zsh or fish')
  }
  return SCRIPTS[shell]()
}

/** Returns the words that can continue a line of the prompt, given the words before the cursor. */
export function completeWords(before: readonly string[], pids: readonly number[]): string[] {
  const [command, action] = before
  if (command === undefined) return [...COMMAND_NAMES, 'quit']
  if (command === 'worker' && action === 'kill' && before.length === 2) return pids.map(String)
  if (PID_COMMANDS.includes(command) && before.length === 1) return pids.map(String)
  return before.length === 1 ? firstArguments(command) : []
}

/** Commands whose first argument is the process id of a worker. */
const PID_COMMANDS: readonly string[] = COMMAND_NAMES.filter((name) =>
  rowOfCommand(name).usage.startsWith('PID'),
)

function firstArguments(command: string): string[] {
  if (command === 'config') return SETTING_NAMES
  const name = COMMAND_NAMES.find((one) => one === command)
  return name === undefined ? [] : [...(rowOfCommand(name).words ?? [])]
}

const SETTING_NAMES = ROWS.filter(([, { status }]) => status === 'supported').map(([name]) => name)

/** Every command of `ctl` with the words that may follow it. */
function commandWords(): (readonly [name: string, words: readonly string[], doc: string])[] {
  const own = Object.entries(CLIENT_COMMANDS).map(
    ([name, { words, doc }]) => [name, words, doc] as const,
  )
  const served = COMMAND_NAMES.map(
    (name) => [name, firstArguments(name), rowOfCommand(name).doc] as const,
  )
  return [...served, ...own]
}

function serverFlags(): string[] {
  return ROWS.filter(([, { status }]) => status === 'supported')
    .flatMap(([, { flags }]) => [...(flags ?? [])])
    .filter((flag) => flag.startsWith('--'))
}

function ctlFlags(): string[] {
  return Object.values(CTL_OPTIONS).flatMap(({ short, long }) => [short, long])
}

const SCRIPTS: Record<Shell, () => string> = {
  bash: () => `# monoceros completion for bash: source <(monoceros ctl completion bash)
_monoceros() {
  local word=\${COMP_WORDS[COMP_CWORD]} command= index
  if [[ \${COMP_WORDS[1]} != ctl || $COMP_CWORD -eq 1 ]]; then
    local first=
    [[ $COMP_CWORD -eq 1 ]] && first='${SUBCOMMANDS.join(' ')}'
    COMPREPLY=($(compgen -W "$first ${serverFlags().join(' ')}" -- "$word"))
    COMPREPLY+=($(compgen -f -- "$word"))
    return
  fi
  for ((index = 2; index < COMP_CWORD; index += 1)); do
    case \${COMP_WORDS[index]} in
      ${valueOptions().join('|')}) index=$((index + 1)) ;;
      -*) ;;
      *) command=\${COMP_WORDS[index]}; break ;;
    esac
  done
  case $command in
    '') COMPREPLY=($(compgen -W '${firstWords()}' -- "$word")) ;;
${commandWords()
  .filter(([, words]) => words.length > 0)
  .map(
    ([name, words]) =>
      `    ${name}) COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$word")) ;;\n`,
  )
  .join('')}  esac
}
complete -o filenames -F _monoceros monoceros
`,
  zsh: () => `#compdef monoceros
# monoceros completion for zsh: source <(monoceros ctl completion zsh)
_monoceros() {
  local -a commands
  if [[ \${words[2]} != ctl || $CURRENT -eq 2 ]]; then
    [[ $CURRENT -eq 2 ]] && compadd -- ${SUBCOMMANDS.join(' ')}
    compadd -- ${serverFlags().join(' ')}
    _files
    return
  fi
  if [[ $CURRENT -eq 3 ]]; then
    commands=(
${commandWords()
  .map(([name, , doc]) => `      '${name}:${doc.replaceAll("'", '')}'\n`)
  .join('')}    )
    _describe command commands
    compadd -- ${ctlFlags().join(' ')}
    return
  fi
  case \${words[3]} in
${commandWords()
  .filter(([, words]) => words.length > 0)
  .map(([name, words]) => `    ${name}) compadd -- ${words.join(' ')} ;;\n`)
  .join('')}  esac
}
compdef _monoceros monoceros
`,
  fish: () =>
    [
      '# monoceros completion for fish: monoceros ctl completion fish | source\n',
      `complete -c monoceros -n __fish_use_subcommand -a '${SUBCOMMANDS.join(' ')}'\n`,
      ...serverFlags().map(
        (flag) => `complete -c monoceros -n __fish_use_subcommand -l ${flag.slice(2)}\n`,
      ),
      ...Object.values(CTL_OPTIONS).map(
        ({ short, long, doc }) =>
          `complete -c monoceros -n '__fish_seen_subcommand_from ctl' ` +
          `-s ${short.slice(1)} -l ${long.slice(2)} -d '${doc}'\n`,
      ),
      ...commandWords().flatMap(([name, words, doc]) => [
        `complete -c monoceros -f -n '__fish_seen_subcommand_from ctl; ` +
          `and not __fish_seen_subcommand_from ${commandWords()
            .map(([one]) => one)
            .join(' ')}' ` +
          `-a ${name} -d '${doc.replaceAll("'", '')}'\n`,
        ...(words.length === 0
          ? []
          : [
              `complete -c monoceros -f -n '__fish_seen_subcommand_from ctl; ` +
                `and __fish_seen_subcommand_from ${name}' -a '${words.join(' ')}'\n`,
            ]),
      ]),
    ].join(''),
}

/** What may follow `monoceros ctl`. */
function firstWords(): string {
  return [...commandWords().map(([name]) => name), ...ctlFlags()].join(' ')
}

function valueOptions(): string[] {
  return Object.values<{ short: string; long: string; value?: string }>(CTL_OPTIONS)
    .filter(({ value }) => value !== undefined)
    .flatMap(({ short, long }) => [short, long])
}

function isShell(text: string): text is Shell {
  return CLIENT_COMMANDS.completion.words.some((shell) => shell === text)
}
