// Responses are held until their readers are aborted; prints the megabytes that buffers took with
// them, and a while later.
import { UnsentQueue } from '../../../ts/engine/native/unsent.ts'

const MB = 1_048_576
const MANY = 40
const megabytes = () => Math.round(process.memoryUsage().arrayBuffers / MB)
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const held: UnsentQueue[] = []
for (let count = 0; count < MANY; count += 1) {
  const queue = new UnsentQueue()
  queue.push(Buffer.alloc(MB, 'x'), true)
  held.push(queue)
  // Old by now, as V8 has it.
  if (count % 10 === 0) await sleep(50)
}
const before = megabytes()
for (const queue of held.splice(0)) queue.drop()
for (let turn = 0; turn < 100 && megabytes() > before / 2; turn += 1) await sleep(50)
console.log(JSON.stringify([before, megabytes()]))
