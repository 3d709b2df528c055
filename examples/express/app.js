// Express: the application is exported, and nothing listens.

import express from 'express'

const app = express()
app.use(express.json())

app.get('/', (req, res) => {
  res.type('text').send('Hello from Express\n')
})

app.post('/echo', (req, res) => {
  res.json(req.body)
})

export default app
