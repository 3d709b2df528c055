import test from 'ava'

import { formatAddress, parseAddress } from '../../ts/listen/address.ts'

const understands = test.macro({
  exec(t, text: string, expected: object, shown: string) {
    const address = parseAddress(text)
    t.deepEqual(address, expected)
    if (address.kind === 'invalid') return
    t.is(formatAddress(address), shown)
  },
  title: (_, text) => `understands ${JSON.stringify(text)}`,
})

const refuses = test.macro({
  exec(t, text: string, reason: RegExp) {
    const address = parseAddress(text)
    t.is(address.kind, 'invalid')
    if (address.kind === 'invalid') t.regex(address.reason, reason)
  },
  title: (_, text) => `refuses ${JSON.stringify(text)}`,
})

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port })
const unix = (path: string) => ({ kind: 'unix', path })

test(understands, '', tcp('0.0.0.0', 8000), 'http://0.0.0.0:8000')
test(understands, ':9000', tcp('0.0.0.0', 9000), 'http://0.0.0.0:9000')
test(understands, ':0', tcp('0.0.0.0', 0), 'http://0.0.0.0:0')
test(understands, '127.0.0.1', tcp('127.0.0.1', 8000), 'http://127.0.0.1:8000')
test(understands, 'LocalHost:80', tcp('localhost', 80), 'http://localhost:80')
test(understands, '[::1]:8001', tcp('::1', 8001), 'http://[::1]:8001')
test(understands, '[::]', tcp('::', 8000), 'http://[::]:8000')
test(understands, 'tcp://10.0.0.1:5', tcp('10.0.0.1', 5), 'http://10.0.0.1:5')
test(
  understands,
  'http://10.0.0.1:5',
  { ...tcp('10.0.0.1', 5), scheme: 'http' },
  'http://10.0.0.1:5',
)
test(
  understands,
  'https://:8443',
  { ...tcp('0.0.0.0', 8443), scheme: 'https' },
  'https://0.0.0.0:8443',
)
test(understands, 'tcp://[::1]', tcp('::1', 8000), 'http://[::1]:8000')
test(understands, 'unix:/run/a.sock', unix('/run/a.sock'), 'unix:/run/a.sock')
test(understands, 'unix:///run/a.sock', unix('/run/a.sock'), 'unix:/run/a.sock')
test(understands, 'unix:a.sock', unix('a.sock'), 'unix:a.sock')
test(understands, 'unix:@app', unix('\0app'), 'unix:@app')
test(understands, 'unix:\0app', unix('\0app'), 'unix:@app')
test(understands, 'fd://3', { kind: 'fd', fd: 3 }, 'fd://3')

test(refuses, '8000', /for a port write ":8000"/)
test(refuses, '300.1.1.1:80', /not an IPv4 address/)
test(refuses, 'host:99999', /not a port; allowed are 0 to 65535/)
test(refuses, 'host:', /not a port/)
test(refuses, 'host:http', /not a port/)
test(refuses, '::1:8000', /needs brackets/)
test(refuses, '[::1', /\[ADDRESS\]:PORT/)
test(refuses, '[nonsense]:80', /not an IPv6 address/)
test(refuses, 'ftp://localhost:80', /unknown scheme "ftp:\/\/"/)
test(refuses, 'unix:', /needs a path/)
test(refuses, `unix:/${'x'.repeat(120)}`, /121 bytes, the system allows 107/)
test(refuses, 'fd://x', /needs a number/)
test(refuses, 'fd://1', /standard input or output/)
test(refuses, 'a b:80', /not a host name/)
