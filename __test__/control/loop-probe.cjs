// Loaded before the arbiter by --require: records what each turn of its event loop takes, and its
// memory. LOOP_PROBE names the file that it writes at the end. The time is the thread's processor
// time, which only Linux has for Node 20: a loop that waits for a processor is not blocked. Linux
// counts what the host takes from a virtual machine as time of the thread, so it is subtracted.
const { readFileSync, writeFileSync } = require('node:fs')

const MIN_MS = 1
const SAMPLE_MS = 20

if (process.env.MONOCEROS_WORKER === undefined) {
  const turns = []
  const memory = []
  let before = processorMs()
  const endTurn = () => {
    const now = processorMs()
    if (now - before >= MIN_MS) turns.push({ at: Date.now(), ms: now - before })
    before = now
    // Without a reference it runs once per turn, and does not keep the loop from sleeping.
    setImmediate(endTurn).unref()
  }
  endTurn()
  const sample = () => memory.push({ at: Date.now(), bytes: process.memoryUsage.rss() })
  setInterval(sample, SAMPLE_MS).unref()
  process.on('exit', () => {
    writeFileSync(String(process.env.LOOP_PROBE), JSON.stringify({ turns, memory }))
  })
}

function processorMs() {
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
  return Number(nanoseconds) / 1e6 - stolenMs()
}

/** What the host has taken from all processors, in steps of 10 ms: `steal` of proc(5). */
function stolenMs() {
  const [total = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
  return Number(total.split(/ +/)[8]) * 10
}
