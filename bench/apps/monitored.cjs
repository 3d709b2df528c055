// An application for bench/monitoring.ts: SERIES is the number of its own series, and a request
// for /block blocks the event loop for BLOCK_MS.

const seriesCount = Number(process.env.SERIES ?? 0)
if (seriesCount > 0) {
  const { Counter } = require('prom-client')
  const counter = new Counter({ name: 'own_events_total', help: 'Events', labelNames: ['kind'] })
  for (let index = 0; index < seriesCount; index += 1) counter.inc({ kind: `kind-${index}` })
}

module.exports = (req, res) => {
  if (req.url === '/block') {
    const end = Date.now() + Number(process.env.BLOCK_MS)
    while (Date.now() < end);
  }
  res.setHeader('content-type', 'text/plain')
  res.end('Hello, World!')
}
