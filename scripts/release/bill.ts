// Writes the software bills of materials of a release, in CycloneDX 1.5: the crates that are linked
// into a binary, and the npm packages that the main package installs. `npm sbom` is not used:
// npm 11 omits packages that a development dependency requires too.

import { createHash } from 'node:crypto'

export const BILL = 'sbom.cdx.json'

/** The package that a bill describes. */
export interface Subject {
  readonly name: string
  readonly version: string
}

export interface Component extends Subject {
  /** SPDX expression. */
  readonly license: string
  /** Package URL: https://github.com/package-url/purl-spec. */
  readonly purl: string
  readonly hash?: { readonly alg: 'SHA-256' | 'SHA-512'; readonly content: string }
}

/** The part of package-lock.json that matters here. */
export interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>
}

interface LockedPackage {
  readonly version?: string
  readonly license?: string
  readonly integrity?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
}

/** Renders the bill of a package. The same input gives the same text. */
export function renderBill(subject: Subject, contained: readonly Component[]): string {
  const purl = npmPurl(subject)
  const components = contained.map(({ name, version, license, purl, hash }) => ({
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    licenses: [{ expression: license }],
    ...(hash === undefined ? {} : { hashes: [hash] }),
  }))
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([subject, components]))}`,
    version: 1,
    metadata: { component: { type: 'library', 'bom-ref': purl, ...subject, purl } },
    components,
    dependencies: [{ ref: purl, dependsOn: contained.map(({ purl }) => purl) }],
  }
  return `${JSON.stringify(bill, null, 2)}\n`
}

/** Lists the packages that a user installs with the main package, from package-lock.json. */
export function installedPackages(lock: Lock): Component[] {
  const found = new Map<string, Component>()
  for (const [path, locked] of Object.entries(lock.packages)) {
    const name = path.split('node_modules/').at(-1) ?? ''
    const { version, license = 'NOASSERTION', integrity, dev, devOptional } = locked
    if (path === '' || version === undefined || dev || devOptional) continue
    const purl = npmPurl({ name, version })
    const sha512 = /^sha512-(.+)$/.exec(integrity ?? '')?.[1]
    const content = Buffer.from(sha512 ?? '', 'base64').toString('hex')
    const hash = content === '' ? {} : { hash: { alg: 'SHA-512' as const, content } }
    found.set(purl, { name, version, license, purl, ...hash })
  }
  return [...found.values()].sort((a, b) => (a.purl < b.purl ? -1 : 1))
}

function npmPurl({ name, version }: Subject): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`
}

/** A version 8 UUID (RFC 9562, section 5.8) from a digest, so that a bill can be built again. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`]
  return [...parts, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')
}
