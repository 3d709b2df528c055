// Sends a datagram without the addon, and is gone.
import { openNodeLogSocket } from '../../../ts/log/log-socket.ts'

openNodeLogSocket(`udp://${process.argv[2]}`).send('last')
process.exit()
