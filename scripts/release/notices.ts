// Writes THIRD-PARTY-NOTICES.txt: the code of others in a package, with the text of each license.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../command.ts'
import type { Linked } from './linked.ts'
import type { Platform } from './platforms.ts'
import { installZig, zigLicenses } from './zig.ts'

export const NOTICES = 'THIRD-PARTY-NOTICES.txt'

interface Notice {
  readonly title: string
  readonly license: string
  readonly text: string
}

/** Renders the notices of components, together where the text of the license is the same. */
export function renderNotices(notices: readonly Notice[]): string {
  const groups = new Map<string, Notice[]>()
  for (const notice of notices) {
    groups.set(notice.text, [...(groups.get(notice.text) ?? []), notice])
  }
  const sections = [...groups].map(([text, group]) => {
    const titles = group.map(({ title, license }) => `${title} (${license})`)
    return `${'='.repeat(80)}\n${titles.join('\n')}\n${'-'.repeat(80)}\n\n${text}\n`
  })
  const head = 'This package contains code of these projects, under these licenses.'
  return [head, '', ...sections].join('\n')
}

export function noticesOf(components: readonly Linked[]): Notice[] {
  return components.map(({ name, version, license, licenseFiles }) => ({
    title: `${name} ${version}`,
    license,
    text: licenseFiles.map(readLicense).join(`\n\n${'-'.repeat(80)}\n\n`),
  }))
}

/** Notices of what the compiler and, on Linux, the linker add to a binary. */
export async function findToolchainNotices({ system }: Platform): Promise<Notice[]> {
  const sysroot = await run('rustc', ['--print', 'sysroot'], { show: false })
  const version = await run('rustc', ['--version'], { show: false })
  const licenses = join(sysroot.output.trim(), 'share/doc/rust/licenses')
  const notices = [
    {
      title: `Rust standard library, ${version.output.trim()}`,
      license: 'MIT OR Apache-2.0',
      text: readLicense(join(licenses, 'MIT.txt')),
    },
  ]
  if (system === 'macos') return notices
  const obstacle = await installZig()
  if (obstacle !== undefined) throw new Error(obstacle)
  const { compilerRuntime, unwinder } = zigLicenses()
  return [
    ...notices,
    { title: 'zig compiler runtime', license: 'MIT', text: readLicense(compilerRuntime) },
    {
      title: 'LLVM libunwind',
      license: 'Apache-2.0 WITH LLVM-exception',
      text: readLicense(unwinder),
    },
  ]
}

function readLicense(path: string): string {
  if (!existsSync(path)) throw new Error(`the license file ${path} is missing`)
  return readFileSync(path, 'utf8').replaceAll('\r\n', '\n').trim()
}
