// Formats of access lines: Gunicorn's atoms, and escaping that no client can use to forge a line.

import test from 'ava'

import { type AccessEntry, compileAccessFormat } from '../../ts/log/access-format.ts'

const COMBINED = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

const entry: AccessEntry = {
  remoteAddress: '10.1.2.3',
  method: 'GET',
  url: '/a/b?c=d',
  protocol: 'HTTP/1.1',
  status: 200,
  bodyBytes: 12,
  durationUs: 1_234_567,
  requestField: (name) =>
    ({ 'user-agent': 'curl/8', authorization: `Basic ${btoa('ann:secret')}` })[name],
  responseField: (name) => ({ 'x-made-by': 'us' })[name],
}

test('the default access log format is the combined log format', (t) => {
  t.regex(
    line(COMBINED),
    new RegExp(
      '^10\\.1\\.2\\.3 - ann \\[\\d\\d/[A-Z][a-z]{2}/\\d{4}:\\d\\d:\\d\\d:\\d\\d [+-]\\d{4}\\] ' +
        '"GET /a/b\\?c=d HTTP/1\\.1" 200 12 "-" "curl/8"$',
    ),
  )
})

const gives = test.macro({
  exec: (t, format: string, expected: string) => t.is(line(format), expected),
  title: (_, format) => `the access log format ${format}`,
})

test(gives, '%(m)s %(U)s %(q)s %(H)s', 'GET /a/b c=d HTTP/1.1')
test(gives, '%(T)s %(M)s %(D)s %(L)s', '1 1234 1234567 1.234567')
test(gives, '%(B)s %(p)s', `12 <${process.pid}>`)
test(gives, '%({User-Agent}i)s %({X-Made-By}o)s %({nothing}i)s', 'curl/8 us -')
test(gives, '%(z)s 100%% done %(constructor)s', '- 100% done -')
test(gives, 'no atoms', 'no atoms')

test('quotes, backslashes and control characters of a client are escaped', (t) => {
  const hostile = 'a"b\\c\nGET /forged HTTP/1.1" 200\u007f\u001b[1m'
  const written = compileAccessFormat('"%(a)s" "%(r)s"')({
    ...entry,
    url: '/"\r\n',
    requestField: () => hostile,
  })
  t.is(
    written,
    '"a\\"b\\\\c\\u000aGET /forged HTTP/1.1\\" 200\\u007f\\u001b[1m" ' +
      '"GET /\\"\\u000d\\u000a HTTP/1.1"',
  )
})

test('%({NAME}e)s is a WSGI variable of the request or an environment variable', (t) => {
  process.env.ACCESS_SPEC = 'there'
  t.is(line('%({ACCESS_SPEC}e)s %({RAW_URI}e)s %({HTTP_USER_AGENT}e)s'), 'there /a/b?c=d curl/8')
})

test('the path in an access line is percent-decoded and then escaped', (t) => {
  const format = compileAccessFormat('%(U)s|%(q)s')
  t.is(format({ ...entry, url: '/a%20b%0a%3f?x=%20' }), '/a b\\u000a?|x=%20')
  t.is(format({ ...entry, url: 'http://host' }), '/|')
})

test('a percent sign without an atom is an error that names the place', (t) => {
  const error = t.throws(() => compileAccessFormat('%(h)s %h'))
  t.regex(error?.message ?? '', /must have %\(name\)s or %% .* got "%h"/)
})

function line(format: string): string {
  return compileAccessFormat(format)(entry)
}

test('a JSON access line is one ASCII object with null for missing values', (t) => {
  const hostile = 'a","status":500,"x":"\\\r\n\u00ff'
  const written = compileAccessFormat('json')({
    ...entry,
    remoteAddress: undefined,
    url: '/caf%C3%A9?a=b',
    requestField: (name) => ({ 'user-agent': hostile, referer: '\u00c3\u00a9' })[name],
  })
  t.regex(written, /^[ -~]+$/)
  const { time, ...object } = JSON.parse(written)
  t.regex(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/)
  t.deepEqual(object, {
    ...{ pid: process.pid, remote: null, user: null, method: 'GET', target: '/caf%C3%A9?a=b' },
    ...{ path: '/café', query: 'a=b', protocol: 'HTTP/1.1', status: 200, bytes: 12 },
    ...{ duration_us: 1_234_567, referer: 'é', user_agent: hostile, host: null },
    ...{ forwarded_for: null, request_id: null },
  })
})
