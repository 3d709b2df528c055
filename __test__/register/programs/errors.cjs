// Prints the errors with which listen() fails.
const http = require('node:http')
const net = require('node:net')
const show = ({ code, errno, syscall, address, port, message }) =>
  console.log(code, errno, syscall, address, typeof port, message.replace(/\d+$/, ''))

const first = http.createServer().listen(0, '127.0.0.1', () => {
  const { port } = first.address()
  const second = http.createServer().listen(port, '127.0.0.1')
  second.on('error', (error) => {
    show(error)
    console.log(second.listening, second.address())
    http
      .createServer()
      .listen('/nowhere/at/all')
      .on('error', (error) => {
        show(error)
        http
          .createServer()
          .listen(0, '203.0.113.1')
          .on('error', (error) => {
            show(error)
            bindTakenPort(port)
          })
      })
  })
})

function bindTakenPort(port) {
  const plain = net.createServer().listen(port, '127.0.0.1')
  plain.on('error', (error) => {
    show(error)
    first.close(() =>
      net.createServer().listen(port, '127.0.0.1', function listening() {
        console.log('free')
        this.close()
      }),
    )
  })
}
