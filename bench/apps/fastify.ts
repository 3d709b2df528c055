// Fastify with one route.

import { fastify } from 'fastify'

export const app = fastify()

app.get('/', (_request, reply) => {
  reply.type('text/plain').send('Hello, World!')
})
