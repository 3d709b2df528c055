/**
 * A mocha reporter that appends a line of JSON for each finished test to the file SUITE_RESULTS.
 * The results survive a later test that hangs, and tests that write to standard output.
 */
const { appendFileSync } = require('node:fs')

const path = process.env.SUITE_RESULTS

module.exports = function Reporter(runner) {
  const append = (test, passed, text) => {
    appendFileSync(path, `${JSON.stringify({ title: test.fullTitle(), passed, text })}\n`)
  }
  runner.on('pass', (test) => append(test, true, ''))
  runner.on('fail', (test, error) => append(test, false, String(error?.message ?? error)))
}
