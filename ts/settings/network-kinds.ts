/** The kinds of value that settings of addresses, header fields and URLs have. */
import * as z from 'zod/mini'

import { parseAddress } from '../listen/address.ts'
import { findInvalidAddress } from '../listen/address-list.ts'
import { jsonFromText, keepText, type ListItem, splitNames, type ValueKind } from './kinds.ts'

/** The name of a header field: a token (RFC 9110 section 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/

/** An address to listen on, as an item of a list. */
export const bindAddress: ListItem = {
  schema: z.string().check(z.refine((text) => addressProblem(text) === undefined)),
  allowed:
    'HOST, HOST:PORT, [IPV6]:PORT, :PORT, tcp://HOST:PORT (or http:// or https://), ' +
    'unix:PATH or fd://NUMBER',
  problem: addressProblem,
}

/** One address to listen on. */
export const oneBindAddress: ValueKind<string, string> = {
  ...bindAddress,
  placeholder: 'ADDRESS',
  fromText: keepText,
}

/** Paths that end in the name of a health check, separated by commas. */
export const healthPaths: ValueKind<string, string> = {
  schema: z.string().check(z.refine((list) => splitNames(list).every(isHealthPath))),
  allowed: 'paths that end in /livez or /readyz, with commas between them',
  placeholder: 'PATHS',
  fromText: keepText,
}

/** A list of IP addresses and networks, separated by commas, or `*` for all peers. */
export const peerAddresses: ValueKind<string, string> = {
  schema: z.string().check(z.refine((list) => findInvalidAddress(list) === undefined)),
  allowed: 'IP addresses and networks (10.0.0.0/8) with commas between them, or *',
  placeholder: 'ADDRESSES',
  fromText: keepText,
}

/** The path of a URL, without a query. */
export const mountPath: ValueKind<string, string> = {
  schema: z.string().check(
    z.regex(/^[!-~]*$/),
    z.refine((path) => !/[?#\\]|\/\//.test(path)),
  ),
  allowed: 'a path such as /app',
  placeholder: 'PATH',
  fromText: keepText,
}

/** An object of header field names with a value each; in the environment as JSON. */
export const headerFieldValues: ValueKind<Record<string, string>, Record<string, string>> = {
  schema: z.record(z.string().check(z.regex(TOKEN)), z.string()),
  allowed: 'an object of header names and values',
  placeholder: 'JSON',
  fromText: jsonFromText,
}

/** Names of header fields, separated by commas. */
export const headerFieldNames: ValueKind<string, string> = {
  schema: z
    .string()
    .check(z.refine((names) => splitNames(names).every((name) => TOKEN.test(name)))),
  allowed: 'header names with commas between them, or *',
  placeholder: 'NAMES',
  fromText: keepText,
}

/** What identifies the session that a request belongs to. */
export const sessionKey: ValueKind<string, string> = {
  schema: z
    .string()
    .check(z.refine((key) => /^(?:off|ip)$/.test(key) || isNamedKey(key.split(':', 2)))),
  allowed: '"off", "ip", "cookie:NAME" or "query:NAME"',
  placeholder: 'off|ip|cookie:NAME|query:NAME',
  fromText: keepText,
  words: ['off', 'ip', 'cookie:', 'query:'],
}

// The names of cookies are tokens (RFC 6265 section 4.1.1). A parameter's name is compared as it is
// written in the URL.
function isNamedKey([kind, name = '']: readonly string[]): boolean {
  if (kind === 'cookie') return TOKEN.test(name)
  return kind === 'query' && /^[\w\-.~!$'()*+,;:@/?%]+$/.test(name)
}

function isHealthPath(path: string): boolean {
  return /^\/[!-~]*$/.test(path) && /\/(livez|readyz)$/.test(path) && !/[?#\\]/.test(path)
}

function addressProblem(text: string): string | undefined {
  const parsed = parseAddress(text)
  return parsed.kind === 'invalid' ? parsed.reason : undefined
}
