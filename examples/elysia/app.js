// Elysia with its adapter for node, which listens by itself.

import { node } from '@elysiajs/node'
import { Elysia } from 'elysia'

new Elysia({ adapter: node() })
  .get('/', () => 'Hello from Elysia\n')
  .post('/echo', ({ body }) => body)
  .listen(3000)
