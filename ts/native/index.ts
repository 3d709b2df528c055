/** The only import of the addon: `native` is null where no binary loads. */

export interface Native {
  bindTcp(
    host: string,
    port: number,
    backlog: number,
    reusePort: boolean,
    ipv6Only: boolean,
  ): number
}

export const native: Native | null = load()
export const nativeFailure: string | undefined = 'no binary for this platform'

function load(): Native | null {
  return null
}
