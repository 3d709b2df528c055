// The reader of Python files: literals, statements, and what it refuses to evaluate.

import test from 'ava'

import { parseLiteral, readStatements } from '../../ts/migrate/python.ts'

const LITERALS: readonly (readonly [text: string, value: unknown])[] = [
  ['1_000', 1000],
  ['0o007', 7],
  ['-2.5e3', -2500],
  ['0xff', 255],
  ['True', true],
  ['None', null],
  ['"a" \'b\'', 'ab'],
  ['"""two\nlines"""', 'two\nlines'],
  ["r'\\d'", '\\d'],
  ["'\\x41\\n\\''", "A\n'"],
  ['("a", 1,)', ['a', 1]],
  ['(1)', 1],
  ['"a", "b"', ['a', 'b']],
  ['[[1], []]', [[1], []]],
  ["{'a': 1, 'b': [2]}", { a: 1, b: [2] }],
  ['{1, 2}', [1, 2]],
]

for (const [text, value] of LITERALS) {
  test(`${JSON.stringify(text)} is a literal`, (t) => t.deepEqual(parseLiteral(text), { value }))
}

const OTHERS = [
  ...['1 + 1', 'f"{x}"', 'name', 'int("4")', '[x for x in y]', '"open', '[1', '{1: }', '007'],
  ...['{**a}', 'not True', '"%s" % 1', '[1 2]', '', '['.repeat(40)],
]

for (const text of OTHERS) {
  test(`${JSON.stringify(text)} is no literal`, (t) => t.is(parseLiteral(text), undefined))
}

test('brackets, quotes, backslashes and semicolons decide where a statement ends', (t) => {
  const source = 'a = [1, # one ]\n  2]\nb = 1 + \\\n  2; c = "#;"\nd: int = e = 3\nimport os\n'
  const found = readStatements(source).map(({ name, literal }) => [name, literal?.value])
  t.deepEqual(found, [
    ['a', [1, 2]],
    ['b', undefined],
    ['c', '#;'],
    ['d', 3],
    ['e', 3],
  ])
})

test('a block is one statement with its decorators and branches', (t) => {
  const source = 'if x:\n    a = 1\nelse:\n    a = 2\n@d\ndef post_fork(s, w):\n    pass\nb = 1\n'
  t.deepEqual(
    readStatements(source).map(({ name, isFunction }) => [name, isFunction]),
    [
      [undefined, undefined],
      ['post_fork', true],
      ['b', undefined],
    ],
  )
})
