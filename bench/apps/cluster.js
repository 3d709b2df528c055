// Starts a number of node:cluster processes, each with the script that listens by itself.

import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'

cluster.setupPrimary({ exec: fileURLToPath(new URL('idle.js', import.meta.url)) })
for (let count = Number(process.argv[2]); count > 0; count -= 1) cluster.fork()
process.once('SIGTERM', () => process.exit())
