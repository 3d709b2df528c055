// Streams: events from the server at GET /events, the body of a POST counted as it comes.

import { setTimeout as sleep } from 'node:timers/promises'

const EVENTS = 3
const PAUSE_MS = 50

export default async (req, res) => {
  if (req.method === 'POST') {
    let bytes = 0
    for await (const chunk of req) bytes += chunk.length
    res.end(`${bytes} bytes\n`)
    return
  }
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
  for (let event = 1; event <= EVENTS; event++) {
    res.write(`data: ${event}\n\n`)
    await sleep(PAUSE_MS)
  }
  res.end()
}
