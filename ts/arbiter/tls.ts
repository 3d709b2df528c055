/**
 * TLS in the arbiter: reads the files that the settings name, and passes changed files to the
 * workers without a restart.
 */

import { resolve } from 'node:path'

import { MonocerosError, monocerosError } from '../errors.ts'
import type { Hook } from '../hooks/load.ts'
import type { Logger } from '../log/logger.ts'
import { describeThrown } from '../log/thrown-value.ts'
import { native } from '../native/index.ts'
import type { System } from '../process/system.ts'
import type { Config } from '../settings/config.ts'
import { tlsFileError } from '../tls/certificate.ts'
import { ensureDevCertificate } from '../tls/development.ts'
import { alpnProtocols, type ReadFile, readTlsMaterial, type TlsMaterial } from '../tls/material.ts'
import { toNativeMaterial } from '../tls/native-material.ts'
import { findNodeTlsProblem } from '../tls/node-context.ts'
import { materialFromOptions, optionsFromMaterial } from '../tls/options.ts'
import { WatchedTlsFiles } from '../tls/watched-files.ts'
import type { Generation } from './generation.ts'
import type { Workers } from './workers.ts'

interface OpenTlsOptions {
  readonly system: System
  readonly log?: Logger
  /** The hook `ssl_context`, if it is set. */
  readonly sslContext?: Hook | undefined
}

/**
 * Reads the TLS files of the settings. Throws if one of them cannot be used, before any worker is
 * started.
 */
export function openTls(
  config: Config,
  { log, system, sslContext }: OpenTlsOptions,
): WatchedTlsFiles | undefined {
  const { certfile, certificates, dev_tls: isDevelopment } = config
  const usesDevCertificate = isDevelopment && certfile === null && certificates.length === 0
  const files = usesDevCertificate ? ensureDevCertificate(system.env, system.date()) : {}
  if ('certfile' in files) {
    log?.info(
      `TLS: the development certificate is ${files.certfile}: configure clients to trust it`,
    )
  }
  const settings = { ...config, ...files }
  const watchedTls = WatchedTlsFiles.open((readFile) => {
    const material = readMaterial(settings, { readFile, sslContext })
    if (material === undefined) return undefined
    const problem =
      native === null || config.engine === 'node'
        ? findNodeTlsProblem(material)
        : native.tlsProblem(toNativeMaterial(material, []))
    if (problem == null) return material
    const { crl_file: path } = config
    if (path !== null && /\bCRL\b/.test(problem)) {
      throw tlsFileError(
        { setting: 'crl_file', path: resolve(config.chdir, path) },
        `a list must be PEM and version 2 (RFC 5280): ${problem}`,
      )
    }
    throw monocerosError('ERR_TLS_MATERIAL', problem)
  })
  const httpsBind = config.bind.find((bind) => bind.trim().startsWith('https://'))
  if (watchedTls === undefined && httpsBind !== undefined) {
    throw monocerosError('ERR_TLS_CERTIFICATE', `the address ${httpsBind}`)
  }
  return watchedTls
}

function readMaterial(
  config: Config,
  { readFile, sslContext }: { readFile: ReadFile; sslContext: Hook | undefined },
): TlsMaterial | undefined {
  if (sslContext === undefined) return readTlsMaterial(config, readFile)
  let known: TlsMaterial['certificates'] = []
  const ofSettings = () => {
    const material = readTlsMaterial(config, readFile)
    if (material === undefined) throw monocerosError('ERR_TLS_CERTIFICATE', 'ssl_context')
    known = material.certificates
    return optionsFromMaterial(material, config.cert_reqs)
  }
  let options: unknown
  try {
    options = sslContext(config, ofSettings)
  } catch (thrown) {
    if (thrown instanceof MonocerosError) throw thrown
    throw monocerosError('ERR_HOOK_FAILED', 'ssl_context', describeThrown(thrown)).withCause(thrown)
  }
  if (typeof options !== 'object' || options === null || options instanceof Promise) {
    throw monocerosError(
      'ERR_TLS_OPTIONS',
      'ssl_context',
      'it must return options of tls.createServer',
    )
  }
  return materialFromOptions(options, {
    source: 'ssl_context',
    requiresCloseNotify: !config.suppress_ragged_eofs,
    alpnProtocols: alpnProtocols(config),
    settingsCertificates: known,
  })
}

/**
 * Checks files, expiry dates and the age of ticket keys, and sends changes to the workers. Called
 * once a second.
 */
export function renewTls(
  current: Generation | undefined,
  { system, log, workers }: { system: System; log: Logger; workers: Workers },
): void {
  if (current === undefined) return
  const { watchedTls, ticketSecrets } = current
  const hasRotated = ticketSecrets.rotate(system.now())
  const hasChanged = watchedTls?.checkForChanges(system.date(), log) === true
  if (!hasRotated && !hasChanged) return
  for (const { child, generation } of workers.list()) {
    if (!hasRotated && generation !== current) continue
    const material = generation.watchedTls?.material
    child.send({
      type: 'updateTls',
      ticketSecrets: ticketSecrets.secrets,
      ...(material === undefined ? {} : { tls: material }),
    })
  }
}
