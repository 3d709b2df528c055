// The errors of a change of the user or the group.
import test from 'ava'

import { changeOwner, switchUser } from '../../ts/process/user.ts'

test.serial('a change that is not permitted names what is set, and nothing else', (t) => {
  const { getgid, setgid } = process
  t.teardown(() => Object.assign(process, { getgid, setgid }))
  const refuse = () => {
    throw new Error('EPERM, Operation not permitted')
  }
  Object.assign(process, { getgid: () => 1, setgid: refuse })
  t.throws(() => switchUser({ user: null, group: '12345', initgroups: false }), {
    code: 'ERR_USER',
    message: 'cannot switch to group "12345": EPERM, Operation not permitted.',
  })
})

test('a file that cannot change its owner is named', (t) => {
  t.throws(() => changeOwner('nowhere/a.sock', { uid: 7, gid: -1 }), {
    code: 'ERR_USER',
    message: /^cannot give nowhere\/a\.sock to user "7": ENOENT/,
  })
})
