import test from 'ava'

import type { Logger } from '../../ts/log/logger.ts'
import { ExpiryMonitor } from '../../ts/tls/expiry.ts'
import type { TlsMaterial } from '../../ts/tls/material.ts'
import { TicketSecrets } from '../../ts/tls/tickets.ts'
import { Certificates } from './certificates.ts'

const DAY_MS = 86_400_000

test('a certificate that expires soon is logged at once, and then once a day', (t) => {
  const chain = new Certificates(t).selfSigned('one', { days: 30 }).text('one.pem')
  const material = { certificates: [{ chain, key: '', hostNames: ['a.test', 'b.test'] }] }
  const lines: string[] = []
  const log = {
    warning: (line: string) => lines.push(line),
    error: (line: string) => lines.push(line),
  } as unknown as Logger
  const watch = new ExpiryMonitor()
  const nowMs = Date.now()
  const look = (days: number) => {
    lines.length = 0
    watch.logExpiry(material as unknown as TlsMaterial, new Date(nowMs + days * DAY_MS), log)
    return lines.map((line) => line.replace(/\d{4}-\d\d-\d\dT[\d:]+Z/, 'TIME'))
  }
  t.deepEqual(look(-1), [
    'TLS: the certificate of a.test, b.test is not valid before TIME: clients refuse it',
  ])
  t.deepEqual(look(1), [])
  t.deepEqual(look(22), [])
  const soon = (days: number) => [
    `TLS: the certificate of a.test, b.test expires in ${days} days, at TIME: renew it`,
  ]
  t.deepEqual(look(24), soon(5))
  t.deepEqual(look(24.5), [])
  t.deepEqual(look(25.1), soon(4))
  t.deepEqual(look(30.1), [
    'TLS: the certificate of a.test, b.test has expired, at TIME: clients refuse it',
  ])
  t.deepEqual(look(30.2), [])
  t.is(look(31.2).length, 1)
})

test('a secret of tickets makes them for half a day and reads them for another', (t) => {
  const secrets = new TicketSecrets()
  const hour = 3_600_000
  const [first] = secrets.secrets
  t.false(secrets.rotate(5))
  t.false(secrets.rotate(12 * hour))
  t.deepEqual(secrets.secrets, [first])
  t.true(secrets.rotate(12 * hour + 5))
  t.is(secrets.secrets.length, 2)
  t.is(secrets.secrets[1], first)
  t.true(secrets.rotate(24 * hour + 5))
  t.false(secrets.secrets.includes(first ?? ''))
})
