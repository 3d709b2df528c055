/**
 * The response that node sends to input that its parser rejects: a status line and Connection:
 * close.
 */

const STATUSES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** The response for an error code of node's parser, byte for byte as node sends it. */
export function badRequestText(code = ''): string {
  return `HTTP/1.1 ${STATUSES[code] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`
}
