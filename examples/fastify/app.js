// Fastify: the instance is exported; it is made ready before the first request.

import Fastify from 'fastify'

const app = Fastify()

app.get('/', async () => ({ hello: 'Fastify' }))

app.post('/echo', async (request) => request.body)

export default app
