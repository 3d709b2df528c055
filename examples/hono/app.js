// Hono: fetch style, without an adapter.

import { Hono } from 'hono'

const app = new Hono()

app.get('/', (c) => c.text('Hello from Hono\n'))

app.post('/echo', async (c) => c.json(await c.req.json()))

export default app
