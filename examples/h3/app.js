// h3: fetch style; an H3 has `fetch`.

import { H3 } from 'h3'

const app = new H3()

app.get('/', () => 'Hello from h3\n')

app.post('/echo', async (event) => await event.req.json())

export default app
