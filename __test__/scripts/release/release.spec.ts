// What a release checks before it starts, and what it writes into the packages.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { ROOT } from '../../../scripts/command.ts'
import { installedPackages, renderBill } from '../../../scripts/release/bill.ts'
import { chooseFiles } from '../../../scripts/release/linked.ts'
import { renderNotices } from '../../../scripts/release/notices.ts'
import { findOwnerFaults, withExamples } from '../../../scripts/release/owner.ts'
import { PLATFORMS, platformsNamed } from '../../../scripts/release/platforms.ts'
import { isOwned, publicationsOf } from '../../../scripts/release/publish.ts'
import { withAbsoluteLinks, withContact, withOwner } from '../../../scripts/release/stage.ts'
import { findVersionFaults, readChanges, readVersions } from '../../../scripts/release/versions.ts'

const FILLED = withExamples({})
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

test('a release is refused until every entry of the owner is filled in', (t) => {
  const faults = findOwnerFaults({ ...FILLED, repository: '', npmAccount: undefined })
  t.deepEqual(faults, [
    'scripts/release/owner.json: "repository" must be the address of a GitHub repository, ' +
      'https://github.com/OWNER/NAME; it is empty',
    'scripts/release/owner.json: "npmAccount" must be the npm account or organization that owns ' +
      'the packages; it is empty',
  ])
  t.deepEqual(findOwnerFaults(FILLED), [])
})

test('an entry of the owner in another form is refused with its value', (t) => {
  const [fault] = findOwnerFaults({ ...FILLED, securityContact: 'ask around' })
  t.regex(fault ?? '', /"securityContact" must be an email address .*; got "ask around"$/)
})

test('RELEASING.md describes every entry of the owner', (t) => {
  const page = read('RELEASING.md')
  for (const name of Object.keys(JSON.parse(read('scripts/release/owner.json')))) {
    t.regex(page, new RegExp(`^- \`${name}\``, 'm'))
  }
})

test('the tag, all versions and the first entry of CHANGELOG.md must agree', (t) => {
  const changes = { version: '1.2.3', date: '2026-01-31', notes: 'text' }
  const versions = [{ path: 'package.json', version: '1.2.3' }]
  t.deepEqual(findVersionFaults('v1.2.3', versions, changes), [])
  t.deepEqual(findVersionFaults('1.2.3', versions, changes), [
    'the tag "1.2.3" must be "v" and a version, such as v1.2.3',
  ])
  t.deepEqual(findVersionFaults('v1.2.4', versions, changes), [
    'package.json has version 1.2.3, the tag is v1.2.4',
    'the first entry of CHANGELOG.md is 1.2.3, the tag is v1.2.4',
  ])
  t.deepEqual(
    findVersionFaults('v1.2.3', versions, { ...changes, date: 'unreleased', notes: '' }),
    [
      'CHANGELOG.md must have the date of 1.2.3 as YYYY-MM-DD, got "unreleased"',
      'CHANGELOG.md has no text for 1.2.3',
    ],
  )
})

test('the notes of a version end where the next version begins', (t) => {
  const text =
    '# Changelog\n\n## 1.1.0 (2026-02-03)\n\n- New.\n\n### Fixes\n\n- One.\n\n## 1.0.0 (x)\n'
  t.deepEqual(readChanges(text), {
    version: '1.1.0',
    date: '2026-02-03',
    notes: '- New.\n\n### Fixes\n\n- One.',
  })
  t.is(readChanges('# Changelog\n'), undefined)
})

test('all manifests and lock files of this tree have the version of package.json', (t) => {
  const { version } = JSON.parse(read('package.json'))
  t.deepEqual(
    readVersions().filter((stated) => stated.version !== version),
    [],
  )
})

test('each platform has a manifest that npm installs only there', (t) => {
  t.deepEqual(readdirSync(join(ROOT, 'npm')).sort(), PLATFORMS.map(({ name }) => name).sort())
  for (const { name, system, processor } of PLATFORMS) {
    const { os, cpu, libc } = JSON.parse(read(`npm/${name}/package.json`))
    const isMac = system === 'macos'
    t.deepEqual(
      [os, cpu, libc],
      [[isMac ? 'darwin' : 'linux'], [processor], isMac ? undefined : [system]],
    )
  }
  const { napi } = JSON.parse(read('package.json'))
  t.deepEqual(
    napi.targets,
    PLATFORMS.map(({ triple }) => triple),
  )
})

test('a platform that does not exist is refused with those that do', (t) => {
  t.throws(() => platformsNamed(['linux-mips']), { message: /linux-mips; .* linux-x64-gnu/ })
})

test('a bill has what a user installs, and no tool of development', (t) => {
  const components = installedPackages(JSON.parse(read('package-lock.json')))
  const { dependencies, devDependencies } = JSON.parse(read('package.json'))
  const names = components.map(({ name }) => name)
  for (const name of Object.keys(dependencies)) t.true(names.includes(name), name)
  for (const name of Object.keys(devDependencies)) t.false(names.includes(name), name)
  t.true(components.every(({ hash }) => hash?.content.length === 128))
})

test('the licenses of all packages that a user installs are permissive', (t) => {
  const allowed = ['Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']
  t.deepEqual(
    installedPackages(JSON.parse(read('package-lock.json'))).filter(
      ({ license }) => !allowed.includes(license),
    ),
    [],
  )
})

test('the same contents give the same bill', (t) => {
  const subject = { name: '@a/b', version: '1.0.0' }
  const component = { name: 'c', version: '2.0.0', license: 'MIT', purl: 'pkg:cargo/c@2.0.0' }
  const bill = renderBill(subject, [component])
  t.is(bill, renderBill(subject, [component]))
  t.not(bill, renderBill(subject, []))
  const { metadata, dependencies, serialNumber } = JSON.parse(bill)
  t.is(metadata.component.purl, 'pkg:npm/%40a/b@1.0.0')
  t.deepEqual(dependencies, [{ ref: 'pkg:npm/%40a/b@1.0.0', dependsOn: ['pkg:cargo/c@2.0.0'] }])
  t.regex(serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('a notice has the text of one license that may be chosen, or of all that apply', (t) => {
  const files = ['LICENSE-APACHE', 'LICENSE-MIT', 'LICENSE-UNICODE']
  t.deepEqual(chooseFiles('MIT OR Apache-2.0', files), ['LICENSE-MIT'])
  t.deepEqual(chooseFiles('Apache-2.0', files), ['LICENSE-APACHE'])
  t.deepEqual(chooseFiles('(MIT OR Apache-2.0) AND Unicode-3.0', files), files)
  t.deepEqual(chooseFiles('MIT', ['LICENSE']), ['LICENSE'])
})

test('projects with the same license text share it', (t) => {
  const text = renderNotices([
    { title: 'a 1', license: 'MIT', text: 'Permission' },
    { title: 'b 2', license: 'ISC', text: 'Other' },
    { title: 'c 3', license: 'MIT', text: 'Permission' },
  ])
  t.is(text.match(/Permission/g)?.length, 1)
  t.regex(text, /a 1 \(MIT\)\nc 3 \(MIT\)\n-+\n\nPermission/)
})

test('the platform packages are published before the main package', (t) => {
  const owner = { ...FILLED, packageName: '@org/server' }
  const publications = publicationsOf(owner, '1.0.0')
  t.is(publications.length, PLATFORMS.length + 1)
  t.deepEqual(publications[0], {
    name: '@org/server-linux-x64-gnu',
    tarball: 'org-server-linux-x64-gnu-1.0.0.tgz',
  })
  t.deepEqual(publications.at(-1), { name: '@org/server', tarball: 'org-server-1.0.0.tgz' })
})

test('a name is ours if our account maintains it, or if the scope is ours', (t) => {
  const owner = { ...FILLED, npmAccount: 'acme' }
  t.true(isOwned('server', 'acme <mail@acme.example>', owner))
  t.true(isOwned('server', "[ 'other <a@b.example>', 'acme <mail@acme.example>' ]", owner))
  t.true(isOwned('@acme/server', 'someone <a@b.example>', owner))
  t.false(isOwned('server', 'other <acme@b.example>', owner))
  t.false(isOwned('server', 'acme-fan <a@b.example>', owner))
})

test('a packed manifest has the repository, and no script', (t) => {
  const manifest = { name: 'a', version: '1.0.0', files: [], scripts: { prepack: 'x' } }
  const packed = withOwner(manifest, { ...FILLED, repository: 'https://github.com/a/b' })
  t.false('scripts' in packed)
  t.deepEqual(packed.repository, { type: 'git', url: 'git+https://github.com/a/b.git' })
})

test('links of the packed README lead to the repository', (t) => {
  const page = 'https://github.com/a/b/blob/v1.0.0'
  const text = '[a](docs/x.md#y) [b](./z) [c](https://example.com) [d](#here)'
  const linked = `[a](${page}/docs/x.md#y) [b](${page}/z) [c](https://example.com) [d](#here)`
  t.is(withAbsoluteLinks(text, page), linked)
})

test('the packed SECURITY.md names the form and the contact', (t) => {
  const text = withContact(read('SECURITY.md'), FILLED)
  t.true(text.includes(`${FILLED.repository}/security/advisories/new`))
  t.true(text.includes(FILLED.securityContact))
})
