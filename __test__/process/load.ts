// Clients that never stop asking: some keep their connection, some open a new one for each request.
// What fails is counted as lost, with its reason.

import http from 'node:http'

export interface LoadOptions {
  readonly port: number
  readonly keepAlive: number
  readonly fresh: number
  readonly path?: string
  /** Between two requests of one client. */
  readonly pauseMs?: number
}

export interface LoadResult {
  readonly answered: number
  /** The reasons, one for each request that was not answered with 200. */
  readonly lost: readonly string[]
}

/** Starts the clients; the returned function stops them and returns their results. */
export function startLoad(options: LoadOptions): () => Promise<LoadResult> {
  const { keepAlive, fresh } = options
  const lost: string[] = []
  let answered = 0
  let running = true
  const client = async (agent: http.Agent | false) => {
    while (running) {
      const problem = await ask(options, agent)
      if (problem === undefined) answered += 1
      else lost.push(problem)
      await new Promise((done) => setTimeout(done, options.pauseMs ?? 5))
    }
    if (agent) agent.destroy()
  }
  const clients = [
    ...Array.from({ length: keepAlive }, () =>
      client(new http.Agent({ keepAlive: true, maxSockets: 1 })),
    ),
    ...Array.from({ length: fresh }, () => client(false)),
  ]
  return async () => {
    running = false
    await Promise.all(clients)
    return { answered, lost }
  }
}

function ask({ port, path = '/' }: LoadOptions, agent: http.Agent | false) {
  return new Promise<string | undefined>((done) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent }, (response) => {
      response.resume()
      response.on('end', () => {
        done(response.statusCode === 200 ? undefined : `status ${response.statusCode}`)
      })
      response.on('error', (error) => done(`answer: ${error.message}`))
    })
    request.on('error', (error) => {
      done(`${request.reusedSocket ? 'kept' : 'new'} connection: ${error.message}`)
    })
  })
}
