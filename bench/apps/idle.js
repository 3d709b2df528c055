// A script that listens by itself: run by node and by monoceros, for the memory of an idle process.

import { createServer } from 'node:http'

createServer((_req, res) => {
  res.setHeader('content-type', 'text/plain')
  res.end('Hello, World!')
}).listen(process.env.PORT ?? 8000, '127.0.0.1')
