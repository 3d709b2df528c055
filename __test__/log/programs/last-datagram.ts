// Sends a datagram without the addon, and is gone.
import { openNodeOutlet } from '../../../ts/log/log-socket.ts'

openNodeOutlet(`udp://${process.argv[2]}`).send('last')
process.exit()
