/**
 * What native `fetch` has answered with. It decodes a body and leaves the fields as they came: an application that
 * returns such a response would send fields that tell of another body than its own.
 */

/** The codings that native takes off. */
const DECODED_CODINGS = new Set([
  'gzip',
  'x-gzip',
  'deflate',
  'br',
  ...(decodesZstd() ? ['zstd'] : []),
])

/** Bodies that have been decoded, which an application may put into a response of its own. */
const decodedBodies = new WeakSet<ReadableStream>()

/** Remembers the body of a response that native's `fetch` has just made. */
export function markFetched(response: Response): Response {
  if (hasDecodedCoding(response) && response.body !== null) decodedBodies.add(response.body)
  return response
}

/** Whether `Content-Encoding` and `Content-Length` of a response are about what its body was before native had it. */
export function isDecoded(response: Response): boolean {
  const { type, body } = response
  if (body !== null && decodedBodies.has(body)) return true
  // The response itself, or a clone, of which the body is another one.
  return type !== 'default' && hasDecodedCoding(response)
}

function hasDecodedCoding({ headers }: Response): boolean {
  const codings = headers.get('content-encoding')
  // With one among them that it does not know native decodes nothing.
  return (
    codings?.split(',').every((coding) => DECODED_CODINGS.has(coding.trim().toLowerCase())) === true
  )
}

function decodesZstd(): boolean {
  const { undici = '', zstd } = process.versions
  const [major = 0, minor = 0] = undici.split('.').map(Number)
  return zstd !== undefined && (major > 7 || (major === 7 && minor >= 11))
}
