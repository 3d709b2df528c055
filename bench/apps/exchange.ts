// The engine's own interface: no request and no response object.

import {
  CONNECTION,
  DATE,
  type Exchange,
  type ExchangeHandler,
  LENGTH,
} from '../../ts/engine/exchange.ts'

export const handler: ExchangeHandler = {
  onExchange(exchange: Exchange) {
    const fields = 'content-type: text/plain\r\n'
    exchange.respond(200, 'OK', fields, DATE | CONNECTION | LENGTH, 'Hello, World!', 'latin1')
  },
}
