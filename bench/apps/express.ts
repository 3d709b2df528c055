// Express with one route.

import express from 'express'

export const app = express()

app.get('/', (_req, res) => {
  res.type('text/plain').send('Hello, World!')
})
