// Express's example as a script that listens by itself: run by node alone, and by monoceros.

import express from 'express'

const app = express()

app.get('/', (_req, res) => {
  res.type('text/plain').send('Hello, World!')
})

app.listen(process.env.PORT ?? 8000, '127.0.0.1')
