// A process that ends from a callback of its answer: the client has it all the same.
'use strict'
const { fork } = require('node:child_process')
const http = require('node:http')

const ways = {
  callback: (res) => res.end('whole', () => process.exit(0)),
  finish: (res) => res.on('finish', () => process.exit(0)).end('whole'),
  close: (res) => res.on('close', () => process.exit(0)).end('whole'),
  immediate: (res) => {
    res.end('whole')
    setImmediate(() => process.exit(3))
  },
}

if (process.argv[2] !== undefined) {
  const server = http.createServer((_req, res) => ways[process.argv[2]](res))
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
} else {
  void main()
}

async function main() {
  for (const way of Object.keys(ways)) {
    const child = fork(__filename, [way])
    const ended = new Promise((resolve) => child.on('exit', resolve))
    const port = await new Promise((resolve) => child.once('message', resolve))
    const answer = await fetch(`http://127.0.0.1:${port}`).then(
      (response) => response.text(),
      (error) => String(error),
    )
    console.log(way, answer, await ended)
  }
}
