// itty-router: fetch style; a router has `fetch`.

import { AutoRouter } from 'itty-router'

const router = AutoRouter()

router.get('/', () => 'Hello from itty-router\n').post('/echo', (request) => request.json())

export default router
