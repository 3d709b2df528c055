// Connects many clients to a control socket: of each four, one sends garbage, one sends nothing,
// one sends a line without end, and one sends a command. Each connects again when it is closed,
// until all commands are answered; then it prints how often they were refused.
const net = require('node:net')

const [, , path, count] = process.argv
const SENT = ['garbage\n'.repeat(2_000), '', 'x'.repeat(60_000), '{"command":"help"}\n']
const counts = { answered: 0, busy: 0, failed: 0 }

for (let index = 0; index < Number(count); index += 1) connect(SENT[index % SENT.length])

function connect(text) {
  const isCommand = text.startsWith('{')
  const socket = net.connect(path)
  let received = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    received += chunk
    if (isCommand && received.endsWith('\n')) socket.end()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    if (isCommand && received.includes('"ok":true')) counts.answered += 1
    else if (isCommand && received.includes('"isBusy":true')) counts.busy += 1
    else if (isCommand) counts.failed += 1
    if (!isCommand || !received.includes('"ok":true')) setTimeout(connect, 20, text)
    if (counts.answered === Math.floor(Number(count) / 4)) {
      process.stdout.write(`${JSON.stringify(counts)}\n`)
      process.exit()
    }
  })
  if (text !== '') socket.write(text)
}
