// The platforms that a release has a binary for, in one table. `build:prebuilt`, the checks of a
// binary and the tests of a release read it; the manifests in npm/ and the matrices of
// .github/workflows/release.yml are compared with it by a test.

export interface Platform {
  /** Name of the folder in npm/, and the end of the package's name. */
  readonly name: string
  /** Rust target triple. */
  readonly triple: string
  readonly system: System
  readonly processor: 'x64' | 'arm64'
}

export type System = 'glibc' | 'musl' | 'macos'

/** Newest glibc that a binary may require: that of RHEL 7, older than Node 20 itself requires. */
export const GLIBC = '2.17'
/** Newest macOS that a binary may require: that of the oldest Mac with an Apple processor. */
export const MACOS = '11.0'
/** Newest version of Node-API that a binary may require; napi8 in Cargo.toml selects it. */
export const NODE_API = 8

export const PLATFORMS: readonly Platform[] = [
  {
    name: 'linux-x64-gnu',
    triple: 'x86_64-unknown-linux-gnu',
    system: 'glibc',
    processor: 'x64',
  },
  {
    name: 'linux-arm64-gnu',
    triple: 'aarch64-unknown-linux-gnu',
    system: 'glibc',
    processor: 'arm64',
  },
  {
    name: 'linux-x64-musl',
    triple: 'x86_64-unknown-linux-musl',
    system: 'musl',
    processor: 'x64',
  },
  {
    name: 'linux-arm64-musl',
    triple: 'aarch64-unknown-linux-musl',
    system: 'musl',
    processor: 'arm64',
  },
  { name: 'darwin-x64', triple: 'x86_64-apple-darwin', system: 'macos', processor: 'x64' },
  { name: 'darwin-arm64', triple: 'aarch64-apple-darwin', system: 'macos', processor: 'arm64' },
]

/** The file of a platform's binary, in its folder and in its package. */
export function binaryName({ name }: Platform): string {
  return `monoceros.${name}.node`
}

/** Returns the platforms with these names, or all of them if there is no name. */
export function platformsNamed(names: readonly string[]): readonly Platform[] {
  const unknown = names.filter((name) => !PLATFORMS.some((platform) => platform.name === name))
  if (unknown.length > 0) {
    const known = PLATFORMS.map(({ name }) => name).join(', ')
    throw new Error(`no platform is named ${unknown.join(', ')}; the platforms are ${known}`)
  }
  return names.length === 0 ? PLATFORMS : PLATFORMS.filter(({ name }) => names.includes(name))
}
