// Sends a datagram without the addon and exits at once.
import { openNodeLogSocket } from '../../../ts/log/log-socket.ts'

openNodeLogSocket(`udp://${process.argv[2]}`).send('last')
process.exit()
