// Bind addresses: the accepted forms, and the reason why a text is rejected.

import test from 'ava'

import { formatAddress, parseAddress } from '../../ts/listen/address.ts'

const accepts = test.macro({
  exec(t, text: string, expected: object, shown: string) {
    const address = parseAddress(text)
    t.deepEqual(address, expected)
    if (address.kind === 'invalid') return
    t.is(formatAddress(address), shown)
  },
  title: (_, text) => `the bind address ${JSON.stringify(text)} is accepted`,
})

const rejects = test.macro({
  exec(t, text: string, reason: RegExp) {
    const address = parseAddress(text)
    t.is(address.kind, 'invalid')
    if (address.kind === 'invalid') t.regex(address.reason, reason)
  },
  title: (_, text) => `the bind address ${JSON.stringify(text)} is rejected with a reason`,
})

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port })
const unix = (path: string) => ({ kind: 'unix', path })

test(accepts, '', tcp('0.0.0.0', 8000), 'http://0.0.0.0:8000')
test(accepts, ':9000', tcp('0.0.0.0', 9000), 'http://0.0.0.0:9000')
test(accepts, ':0', tcp('0.0.0.0', 0), 'http://0.0.0.0:0')
test(accepts, '127.0.0.1', tcp('127.0.0.1', 8000), 'http://127.0.0.1:8000')
test(accepts, 'LocalHost:80', tcp('localhost', 80), 'http://localhost:80')
test(accepts, '[::1]:8001', tcp('::1', 8001), 'http://[::1]:8001')
test(accepts, '[::]', tcp('::', 8000), 'http://[::]:8000')
test(accepts, 'tcp://10.0.0.1:5', tcp('10.0.0.1', 5), 'http://10.0.0.1:5')
test(accepts, 'http://10.0.0.1:5', { ...tcp('10.0.0.1', 5), scheme: 'http' }, 'http://10.0.0.1:5')
test(accepts, 'https://:8443', { ...tcp('0.0.0.0', 8443), scheme: 'https' }, 'https://0.0.0.0:8443')
test(accepts, 'tcp://[::1]', tcp('::1', 8000), 'http://[::1]:8000')
test(accepts, 'unix:/run/a.sock', unix('/run/a.sock'), 'unix:/run/a.sock')
test(accepts, 'unix:///run/a.sock', unix('/run/a.sock'), 'unix:/run/a.sock')
test(accepts, 'unix:a.sock', unix('a.sock'), 'unix:a.sock')
test(accepts, 'unix:@app', unix('\0app'), 'unix:@app')
test(accepts, 'unix:\0app', unix('\0app'), 'unix:@app')
test(accepts, 'fd://3', { kind: 'fd', fd: 3 }, 'fd://3')

test(rejects, '8000', /for a port write ":8000"/)
test(rejects, '300.1.1.1:80', /not an IPv4 address/)
test(rejects, 'host:99999', /not a port; allowed are 0 to 65535/)
test(rejects, 'host:', /not a port/)
test(rejects, 'host:http', /not a port/)
test(rejects, '::1:8000', /needs brackets/)
test(rejects, '[::1', /\[ADDRESS\]:PORT/)
test(rejects, '[nonsense]:80', /not an IPv6 address/)
test(rejects, 'ftp://localhost:80', /unknown scheme "ftp:\/\/"/)
test(rejects, 'unix:', /needs a path/)
test(rejects, `unix:/${'x'.repeat(120)}`, /121 bytes, the system allows 107/)
test(rejects, 'fd://x', /needs a number/)
test(rejects, 'fd://1', /standard input or output/)
test(rejects, 'a b:80', /not a host name/)
