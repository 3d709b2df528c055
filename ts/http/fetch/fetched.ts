/**
 * Recognizes responses of node's `fetch`. It decodes a body, but keeps the fields as they came. An
 * application that returns such a response would send a Content-Encoding and a Content-Length that
 * do not match its body.
 */

/** The content codings that node's `fetch` decodes. */
const DECODED_CODINGS = new Set([
  'gzip',
  'x-gzip',
  'deflate',
  'br',
  ...(decodesZstd() ? ['zstd'] : []),
])

/** Bodies that have been decoded. An application may put one into a response of its own. */
const decodedBodies = new WeakSet<ReadableStream>()

/** Remembers the body of a new response of node's `fetch`, if it has been decoded. */
export function markFetched(response: Response): Response {
  if (hasDecodedCoding(response) && response.body !== null) decodedBodies.add(response.body)
  return response
}

/**
 * Whether Content-Encoding and Content-Length of a response describe its body before it was
 * decoded.
 */
export function isDecoded(response: Response): boolean {
  const { type, body } = response
  if (body !== null && decodedBodies.has(body)) return true
  // This is a response of `fetch` or its clone, which has another body object.
  return type !== 'default' && hasDecodedCoding(response)
}

/** Whether `fetch` decodes all content codings of a response. */
function hasDecodedCoding({ headers }: Response): boolean {
  const codings = headers.get('content-encoding')
  // If one coding is unknown, `fetch` decodes nothing.
  return (
    codings?.split(',').every((coding) => DECODED_CODINGS.has(coding.trim().toLowerCase())) === true
  )
}

/** Whether `fetch` decodes zstd: from undici 7.11, where node has zstd. */
function decodesZstd(): boolean {
  const { undici = '', zstd } = process.versions
  const [major = 0, minor = 0] = undici.split('.').map(Number)
  return zstd !== undefined && (major > 7 || (major === 7 && minor >= 11))
}
