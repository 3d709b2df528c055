// Koa: the application itself is exported; `app.callback()` would do as well.

import Koa from 'koa'

const app = new Koa()

app.use(async (ctx, next) => {
  await next()
  ctx.set('X-Handled-By', 'Koa')
})

app.use((ctx) => {
  ctx.body = { hello: 'Koa', path: ctx.path }
})

export default app
