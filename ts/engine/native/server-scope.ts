/**
 * The async context of a server's `listen()`. As in Node, the server's connections and requests
 * begin in it: `AsyncLocalStorage` has the store of `listen()`, and for async hooks they are
 * triggered by the server, by which node:test finds the test of a server.
 */
import { AsyncResource } from 'node:async_hooks'

type Callback<Argument> = (this: void, argument: Argument) => void

/**
 * From Node 24 on an async scope has none of the context that handlers entered, so all requests of
 * a server can share a resource.
 */
const SHARES_RESOURCE = Number(process.versions.node.split('.')[0]) >= 24

/** A context without the stores and the domain of any program. */
const rootResource = new AsyncResource('MONOCEROSROOT')

/** Calls `run` in a context without stores. */
export function runInRootContext<R>(run: () => R): R {
  return rootResource.runInAsyncScope(run)
}

export class ServerScope {
  readonly #resource = new AsyncResource('MONOCEROSSERVER')
  readonly #id = this.#resource.asyncId()
  /** Whether a resource has this context only if it is created in it. Up to Node 22. */
  readonly #isInherited = hasStores(this.#resource) || Boolean(Reflect.get(process, 'domain'))

  /** Calls `run` in this context. */
  run<Argument>(run: Callback<Argument>, argument: Argument): void {
    this.#resource.runInAsyncScope(run, undefined, argument)
  }

  /** Calls `run` in a new context that begins as this one. */
  runRequest<Argument>(run: Callback<Argument>, argument: Argument): void {
    if (SHARES_RESOURCE) this.run(run, argument)
    else if (this.#isInherited) this.run(() => this.#runInNewResource(run, argument), undefined)
    else this.#runInNewResource(run, argument)
  }

  #runInNewResource<Argument>(run: Callback<Argument>, argument: Argument): void {
    new AsyncResource('HTTPINCOMINGMESSAGE', this.#id).runInAsyncScope(run, undefined, argument)
  }
}

/** The context of servers without one of their own. */
export const rootScope = runInRootContext(() => new ServerScope())

/** Whether a resource has stores. Node keeps them up to Node 22 in properties of the resource. */
function hasStores(resource: AsyncResource): boolean {
  const properties = Object.getOwnPropertySymbols(resource)
  return properties.some(
    (name) => !Object.hasOwn(rootResource, name) && Reflect.get(resource, name) !== undefined,
  )
}
