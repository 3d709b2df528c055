import { inspect } from 'node:util'
import test from 'ava'
import { installFetchGlobals } from '../../ts/http/fetch/globals.ts'

// What a program could have taken hold of before the globals were replaced, as modules do that load
// first.
const Native = { Request, Response, fetch }
installFetchGlobals()

const dataUrl = 'data:text/plain,x'

test('quick and native responses are instances of both constructors', async (t) => {
  for (const response of [
    new Response('x'),
    new Native.Response('x'),
    Response.json({}),
    await fetch(dataUrl),
  ]) {
    t.true(response instanceof Response)
    t.true(response instanceof Native.Response)
    t.is(response.constructor, Response)
    t.is(Object.prototype.toString.call(response), '[object Response]')
  }
  const request = new Request('http://a/')
  t.true(request instanceof Request && request instanceof Native.Request)
})

test('classes can extend both constructors', async (t) => {
  class Ours extends Response {
    readonly mark = 1
  }
  class Theirs extends Native.Response {}
  const ours = new Ours('text', { status: 201 })
  t.is(ours.mark, 1)
  t.true(ours instanceof Ours && ours instanceof Native.Response)
  t.is(await ours.text(), 'text')
  t.is(ours.status, 201)
  t.is(await new Theirs('text').text(), 'text')
  class Asked extends Request {}
  t.is(new Asked('http://a/', { method: 'POST' }).method, 'POST')
})

test('names, static methods and refusals are the native ones', (t) => {
  t.is(Response.name, 'Response')
  t.is(Request.name, 'Request')
  t.is(Response.error().type, 'error')
  t.is(Response.redirect('http://a/', 302).headers.get('location'), 'http://a/')
  t.throws(() => Reflect.apply(Response, undefined, []), { instanceOf: TypeError })
  t.throws(() => new Response('x', { status: 204 }), { instanceOf: TypeError })
  t.throws(() => new Response('x', { status: 99 }), { instanceOf: RangeError })
  t.throws(() => new Response('x', { headers: { 'a b': 'c' } }), { instanceOf: TypeError })
  t.throws(() => Response.json(undefined), { instanceOf: TypeError })
})

/** What a response shows, in the order in which a program may ask. */
async function shown(response: Response): Promise<unknown> {
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response
  const copy = response.clone()
  return [
    { status, statusText, ok, type, url, redirected, bodyUsed },
    [...response.headers],
    response.body instanceof ReadableStream,
    await response.text(),
    response.bodyUsed,
    response.body?.locked,
    await response.text().catch((error: unknown) => (error as Error).constructor.name),
    [...copy.headers],
    Buffer.from(await copy.arrayBuffer()).toString('hex'),
  ]
}

const made: Readonly<Record<string, (Of: typeof Response) => Response>> = {
  text: (Of) => new Of('text'),
  'text with headers': (Of) => new Of('text', { status: 404, headers: [['a', 'b']] }),
  'text with a type': (Of) => new Of('<p>', { headers: { 'Content-Type': 'text/html' } }),
  'an empty text': (Of) => new Of(''),
  bytes: (Of) => new Of(Buffer.from('bytes'), { statusText: 'Fine' }),
  JSON: (Of) => Of.json([1], { status: 201, headers: { a: 'b' } }),
  nothing: (Of) => new Of(),
  'nothing, with fields': (Of) => new Of(null, { status: 302, headers: { Location: '/a' } }),
  'nothing, of a status without a body': (Of) => new Of(null, { status: 204, headers: { a: 'b' } }),
  'fields out of order': (Of) =>
    new Of('x', { headers: { 'X-B': 'b', 'a-c': '', 'X-A': 'a b\t\xe9' } }),
  'a field twice': (Of) => new Of('x', { headers: { 'X-A': '1', 'x-a': '2' } }),
  'white space round a value': (Of) => new Of('x', { headers: { a: ' b\t' } }),
  'values that are no strings': (Of) =>
    new Of('x', { headers: { a: 1, b: undefined } as unknown as Record<string, string> }),
  'headers of headers': (Of) =>
    new Of('x', {
      headers: new Headers([
        ['b', '1'],
        ['Set-Cookie', 'c=d'],
        ['set-cookie', 'e'],
      ]),
    }),
  'JSON of another type': (Of) =>
    Of.json('x', { headers: { 'Content-Type': 'application/problem+json' } }),
  'JSON with a reason': (Of) => Of.json(null, { status: 500, statusText: 'Sad' }),
  'an init that is a class': (Of) =>
    new Of(
      'x',
      new (class {
        readonly status = 203
      })(),
    ),
  parameters: (Of) => new Of(new URLSearchParams({ a: 'b' })),
  'of a response': (Of) => {
    const first = new Of('first', { status: 201, headers: { a: 'b' } })
    return new Of(first.body, first)
  },
}

for (const [title, make] of Object.entries(made)) {
  test(`a quick response has the same properties as a native one: ${title}`, async (t) => {
    t.deepEqual(await shown(make(Response)), await shown(make(Native.Response)))
  })
}

const refused: Readonly<Record<string, (Of: typeof Response) => unknown>> = {
  'a status beyond 599': (Of) => new Of('x', { status: 600 }),
  'a status that is no number': (Of) => new Of('x', { status: 'x' as unknown as number }),
  'a reason of two lines': (Of) => new Of('x', { statusText: 'a\nb' }),
  'a value of two lines': (Of) => new Of('x', { headers: { a: 'b\r\nc: d' } }),
  'a value beyond Latin-1': (Of) => new Of('x', { headers: { a: '\u2603' } }),
  'a name with a space': (Of) => new Of('x', { headers: { 'a b': 'c' } }),
  'an init that is a number': (Of) => new Of('x', 5 as unknown as ResponseInit),
  'JSON with a body where none may be': (Of) => Of.json(1, { status: 204 }),
  'JSON of what has none': (Of) => Of.json(undefined),
  'JSON of a circle': (Of) => {
    const circle: unknown[] = []
    circle.push(circle)
    return Of.json(circle)
  },
}

for (const [title, make] of Object.entries(refused)) {
  test(`arguments that are not valid throw the native constructor's error: ${title}`, (t) => {
    const error = t.throws(() => make(Native.Response), { any: true })
    t.throws(() => make(Response), { any: true, message: (error as Error).message })
  })
}

test('util.inspect() and classes show a quick response as a native one', (t) => {
  const options = { status: 201, headers: { a: 'b' } }
  const quick = new Response('x', options)
  t.is(Object.getPrototypeOf(quick), Native.Response.prototype)
  const shown = inspect(quick)
  t.is(shown, inspect(new Native.Response('x', options)))
  const { headers } = quick
  t.is(quick.headers, headers)
})

test('members taken from the prototype work on quick and native responses only', async (t) => {
  const { text } = Response.prototype
  const status = Object.getOwnPropertyDescriptor(Response.prototype, 'status')?.get
  for (const response of [new Response('a'), new Native.Response('a')]) {
    t.is(status?.call(response), 200)
    t.is(await text.call(response), 'a')
  }
  t.throws(() => status?.call({}), { instanceOf: TypeError })
  await t.throwsAsync(async () => text.call({} as Response), { instanceOf: TypeError })
})

test('each method that reads the body works as the first and only one', async (t) => {
  t.deepEqual(await new Response('{"a":1}').json(), { a: 1 })
  t.is((await new Response('abc').blob()).type.toLowerCase(), 'text/plain;charset=utf-8')
  t.is(
    (
      await new Response('a=b', {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      }).formData()
    ).get('a'),
    'b',
  )
  const chunks: Uint8Array[] = []
  for await (const chunk of new Response('abc').body ?? []) chunks.push(chunk)
  t.is(Buffer.concat(chunks).toString(), 'abc')
})

test('bytes that change after the constructor call are not sent', async (t) => {
  const bytes = Buffer.from('before')
  const response = new Response(bytes)
  bytes.write('AFTER!')
  t.is(await response.text(), 'before')
})

test('headers changed before the Content-Type is read keep it', (t) => {
  const response = new Response('text')
  response.headers.set('a', 'b')
  t.deepEqual(
    [...response.headers],
    [
      ['a', 'b'],
      ['content-type', 'text/plain;charset=UTF-8'],
    ],
  )
})
