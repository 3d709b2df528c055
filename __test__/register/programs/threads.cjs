// Starts servers in worker threads, which exit by themselves or are terminated.
const http = require('node:http')
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')

if (!isMainThread) {
  const server = http.createServer((_req, res) => res.end(`thread ${workerData}`))
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
  parentPort.on('message', () => {
    server.close()
    parentPort.close()
  })
} else {
  const start = (name, stop) => {
    const worker = new Worker(__filename, { workerData: name })
    worker.on('message', (port) =>
      http.get({ port, host: '127.0.0.1', agent: false }, (res) =>
        res.on('data', (data) => {
          console.log(String(data))
          stop(worker)
        }),
      ),
    )
    return new Promise((resolve) => worker.on('exit', resolve))
  }
  start('one', (worker) => worker.postMessage('stop'))
    .then((code) => console.log('exited', code))
    .then(() => start('two', (worker) => worker.terminate()))
    .then((code) => console.log('terminated', code))
}
