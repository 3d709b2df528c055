// Connects many clients to a control socket: of each four, one sends garbage, one sends nothing,
// one sends a line without end, and one sends a command. Each connects again when it is closed,
// until a number of commands is answered; then it prints how often they were refused.
const net = require('node:net')

const [, , path, count, wanted] = process.argv
const COMMAND = '{"command":"help"}\n'
// Shared by all connections, so that only the server may need memory for each.
const ENDLESS = Buffer.alloc(4 * 1024 * 1024, 'x')
const SENT = ['garbage\n'.repeat(2_000), '', ENDLESS, COMMAND]
const counts = { answered: 0, busy: 0, failed: 0 }

for (let index = 0; index < Number(count); index += 1) connect(SENT[index % SENT.length])

function connect(sent) {
  const isCommand = sent === COMMAND
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
    if (!isCommand || !received.includes('"ok":true')) setTimeout(connect, 20, sent)
    if (counts.answered === Number(wanted)) {
      process.stdout.write(`${JSON.stringify(counts)}\n`)
      process.exit()
    }
  })
  if (sent.length > 0) socket.write(sent)
}
