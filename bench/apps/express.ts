// Express with one route, and one that reads JSON.

import express from 'express'

export const app = express()

app.get('/', (_req, res) => {
  res.type('text/plain').send('Hello, World!')
})

app.post('/', express.json(), (req, res) => {
  res.json({ length: req.body.text.length })
})
