// Splits the text of MONOCEROS_CMD_ARGS into words.
import test from 'ava'

import { shellWords } from '../../ts/settings/shell-words.ts'

const splits = test.macro({
  exec(t, text: string, words: string[]) {
    t.deepEqual(shellWords(text), words)
  },
  title: (_, text) => `shellWords splits ${JSON.stringify(text)} as a shell does`,
})

test(splits, '', [])
test(splits, '  \t\n ', [])
test(splits, '-w 4  --bind=:8000', ['-w', '4', '--bind=:8000'])
test(splits, `-n 'my app'`, ['-n', 'my app'])
test(splits, `-n "my 'own' app"`, ['-n', "my 'own' app"])
test(splits, `--name=a" b"'c d'`, ['--name=a bc d'])
test(splits, String.raw`a\ b c\\d "e\"f" "g\h" 'i\j'`, [
  'a b',
  String.raw`c\d`,
  'e"f',
  'g\\h',
  'i\\j',
])
test(splits, `a '' ""`, ['a', '', ''])
test(splits, 'a\\', ['a\\'])
test(splits, '-e KEY=🦄 | x', ['-e', 'KEY=🦄', '|', 'x'])

test('shellWords rejects a quote that is not closed', (t) => {
  t.throws(() => shellWords(`-n 'my app`), { code: 'ERR_CMD_ARGS_QUOTE', message: /single quote/ })
  t.throws(() => shellWords(`-n "my app`), { code: 'ERR_CMD_ARGS_QUOTE', message: /double quote/ })
})
