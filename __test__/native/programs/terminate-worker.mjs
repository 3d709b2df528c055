// A worker thread does not inherit the loader on every Node: it registers its own.
import { register } from 'tsx/esm/api'

register()
await import('./terminate-server.ts')
