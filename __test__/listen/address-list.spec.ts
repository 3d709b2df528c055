// Lists of addresses and networks in settings.
import test from 'ava'

import { parseAddressBytes } from '../../ts/listen/address-bytes.ts'
import { findInvalidAddress } from '../../ts/listen/address-list.ts'

test('an IP address is four or sixteen bytes, however it is written', (t) => {
  t.deepEqual(parseAddressBytes('192.0.2.1'), [192, 0, 2, 1])
  const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]
  for (const text of ['::ffff:1.2.3.4', '::FFFF:102:304', '0:0:0:0:0:ffff:1.2.3.4']) {
    t.deepEqual(parseAddressBytes(text), mapped)
  }
  t.deepEqual(parseAddressBytes('::'), new Array(16).fill(0))
  t.deepEqual(parseAddressBytes('2001:db8::'), [0x20, 0x01, 0x0d, 0xb8, ...new Array(12).fill(0)])
})

test('a network with bits set after its prefix is invalid', (t) => {
  for (const good of [
    ...['10.0.0.0/8', '10.128.0.0/9', '10.0.0.1/32', '0.0.0.0/0', '2001:db8::/32'],
    ...['2001:db8:8000::/33', '::1/128', '::/0', '::ffff:10.0.0.0/104', '*', '10.0.0.1, ::1', ''],
  ]) {
    t.is(findInvalidAddress(good), undefined, good)
  }
  for (const bad of [
    ...['10.0.0.1/8', '10.128.0.0/8', '10.0.0.0/33', '2001:db8::1/32', '2001:db8:8000::/32'],
    ...['::/129', '10.0.0/8', 'localhost', 'fe80::1%eth0', '10.0.0.0/8/8', '10.0.0.0/'],
  ]) {
    t.is(findInvalidAddress(bad), bad)
  }
})
