/**
 * A reporter for mocha that appends a line of JSON to the file named by SUITE_RESULTS for each test that has ended: a
 * test that never ends costs no other's result, and one that takes hold of standard output spoils none.
 */
const { appendFileSync } = require('node:fs')

const path = process.env.SUITE_RESULTS

module.exports = function Reporter(runner) {
  const tell = (test, passed, text) => {
    appendFileSync(path, `${JSON.stringify({ title: test.fullTitle(), passed, text })}\n`)
  }
  runner.on('pass', (test) => tell(test, true, ''))
  runner.on('fail', (test, error) => tell(test, false, String(error?.message ?? error)))
}
