// Exits from an event of the response: the client still receives the whole response.
'use strict'
const { fork } = require('node:child_process')
const http = require('node:http')

const EXITS = {
  callback: (res) => res.end('whole', () => process.exit(0)),
  finish: (res) => res.on('finish', () => process.exit(0)).end('whole'),
  close: (res) => res.on('close', () => process.exit(0)).end('whole'),
  immediate: (res) => {
    res.end('whole')
    setImmediate(() => process.exit(3))
  },
}

if (process.argv[2] !== undefined) {
  const server = http.createServer((_req, res) => EXITS[process.argv[2]](res))
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
} else {
  void main()
}

async function main() {
  for (const event of Object.keys(EXITS)) {
    const child = fork(__filename, [event])
    const exited = new Promise((resolve) => child.on('exit', resolve))
    const port = await new Promise((resolve) => child.once('message', resolve))
    const body = await fetch(`http://127.0.0.1:${port}`).then(
      (response) => response.text(),
      (error) => String(error),
    )
    console.log(event, body, await exited)
  }
}
