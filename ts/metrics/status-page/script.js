// The status page: reads status.json every two seconds and shows it. What it shows is text, never
// HTML.

const POLL_MS = 2_000
const RETRY_MS = 10_000
const TIMEOUT_MS = 5_000
const SILENT_SECONDS = 3
const SVG = 'http://www.w3.org/2000/svg'
/** Size of the drawing, which is scaled. */
const [WIDTH, HEIGHT] = [900, 100]

const byId = (id) => document.getElementById(id)
const count = (value) =>
  value === null ? '–' : value.toLocaleString('en', { maximumFractionDigits: 1 })
const percent = (value) => (value === null ? '–' : `${Math.round(value * 100)} %`)
const memory = (value) => (value === null ? '–' : `${Math.round(value / 1_048_576)} MiB`)

function duration(seconds) {
  if (seconds === null) return '–'
  if (seconds >= 1) return `${Number(seconds.toPrecision(3))} s`
  return `${Number((seconds * 1_000).toPrecision(3))} ms`
}

function uptime(seconds) {
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ]
  const index = Math.max(
    0,
    units.findIndex(([, size]) => seconds >= size),
  )
  const [[unit, size], next] = [units[seconds < 1 ? 3 : index], units[index + 1]]
  const rest = next && seconds >= 1 ? Math.floor((seconds % size) / next[1]) : 0
  return `${Math.floor(seconds / size)} ${unit}${rest > 0 ? ` ${rest} ${next[0]}` : ''}`
}

const CHARTS = [
  {
    title: 'Requests per second',
    format: count,
    lines: [
      ['requests', 'all'],
      ['errors', 'answered with 5xx'],
    ],
  },
  {
    title: 'Duration of requests',
    format: duration,
    lines: [
      ['p50', 'median'],
      ['p99', '99th percentile'],
    ],
  },
  {
    title: 'Wait for JavaScript',
    format: duration,
    lines: [['queueP99', '99th percentile']],
  },
  { title: 'Requests in flight', format: count, lines: [['inFlight', 'in flight']] },
]

const WORKER_COLUMNS = [
  ['Worker', ({ slot }) => String(slot)],
  ['Pid', ({ pid }) => String(pid)],
  ['State', describeState],
  ['Uptime', (worker) => uptime(worker.uptime)],
  ['Requests/s', ({ requestRate }) => count(requestRate)],
  ['p50', ({ p50 }) => duration(p50)],
  ['p99', ({ p99 }) => duration(p99)],
  ['In flight', ({ inFlight }) => count(inFlight)],
  ['Connections', ({ connections }) => count(connections)],
  ['Memory', (worker) => memory(worker.memory)],
  ['Event loop', ({ utilization }) => percent(utilization)],
]

const EVENT_COLUMNS = [
  ['Time', ({ at }) => new Date(at * 1_000).toLocaleString()],
  ['Event', ({ kind }) => kind],
  ['Reason', ({ reason }) => reason.replaceAll('_', ' ')],
  ['Detail', ({ detail }) => detail],
]

const MINUTE_COLUMNS = [
  ['Minutes ago', ({ age }) => String(age)],
  ['Requests/s', ({ from }) => count(mean(from('requests')))],
  ['5xx/s', ({ from }) => count(mean(from('errors')))],
  ['p50', ({ from }) => duration(highest(from('p50')))],
  ['p99', ({ from }) => duration(highest(from('p99')))],
  ['Wait p99', ({ from }) => duration(highest(from('queueP99')))],
  ['In flight', ({ from }) => count(highest(from('inFlight')))],
]

/** The samples so far, and the number of the next one. */
const samples = {}
let next
let server = ''
let isPaused = false
let isPolling = false
let timer

async function poll() {
  clearTimeout(timer)
  if (isPaused || isPolling || document.hidden) return
  isPolling = true
  let waitMs = POLL_MS
  try {
    const query = next === undefined ? '' : `?since=${next}`
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const response = await fetch(`status.json${query}`, { signal, cache: 'no-store' })
    if (!response.ok) throw new Error(`status ${response.status}`)
    const status = await response.json()
    if (addSamples(status)) show(status)
    else waitMs = 0
  } catch {
    waitMs = RETRY_MS
    setText(byId('verdict'), 'No answer from the server: the values are old')
    byId('verdict').className = 'bad'
  }
  isPolling = false
  timer = setTimeout(poll, waitMs)
}

/** Returns false if another arbiter has answered, whose samples have to be read from the start. */
function addSamples({ pid, startedAt, history }) {
  const { start, end, capacity, columns } = history
  const isOther = server !== `${pid} ${startedAt}`
  server = `${pid} ${startedAt}`
  if (isOther && next !== undefined) {
    next = undefined
    return false
  }
  const isContinued = start === next
  for (const name in columns) {
    samples[name] = (isContinued ? samples[name] : []).concat(columns[name]).slice(-capacity)
  }
  next = end
  return true
}

function show(status) {
  const { app, checks, events, isReady, workers } = status
  const failed = checks.filter(({ isOk }) => !isOk).map(({ finding }) => finding)
  const verdict = byId('verdict')
  setText(verdict, isReady ? 'Ready' : `Not ready: ${failed.join('; ')}`)
  verdict.className = isReady ? 'good' : 'bad'
  setText(byId('app'), app ?? '')
  document.title = `${isReady ? 'Ready' : 'Not ready'}: ${app ?? 'Monoceros'}`
  setText(byId('updated'), `Updated ${new Date(status.at * 1_000).toLocaleTimeString()}`)
  showFacts(status)
  for (const chart of CHARTS) showChart(chart)
  fillTable(byId('minutes'), MINUTE_COLUMNS, listMinutes())
  fillTable(byId('workers'), WORKER_COLUMNS, workers)
  fillTable(byId('events'), EVENT_COLUMNS, events)
  byId('events').hidden = events.length === 0
  byId('no-events').hidden = events.length > 0
}

function showFacts(status) {
  const { workers, wantedWorkers } = status
  const sum = (name) => workers.reduce((total, worker) => total + (worker[name] ?? 0), 0)
  const serving = workers.filter(({ state }) => state === 'serving').length
  const facts = [
    ['Workers', `${serving} of ${wantedWorkers}`],
    ['Requests/s', count(latest('requests'))],
    ['5xx/s', count(latest('errors'))],
    ['Median', duration(latest('p50'))],
    ['99th percentile', duration(latest('p99'))],
    ['In flight', count(sum('inFlight'))],
    ['Connections', count(sum('connections'))],
    ['Memory', memory(sum('memory'))],
    ['Uptime', uptime(status.at - status.startedAt)],
    ['Generation', String(status.generation)],
    ['Engine', status.isNative ? 'native' : 'TypeScript'],
    ['Version', `${status.version}, Node ${status.node}`],
  ]
  const list = byId('facts')
  for (const [index, [name, value]] of facts.entries()) {
    const row =
      list.children[index] ?? list.appendChild(element('div', element('dt'), element('dd')))
    setText(row.children[0], name)
    setText(row.children[1], value)
  }
}

function showChart(chart) {
  chart.parts ??= createChart(chart)
  const { axis, legend, paths, svg } = chart.parts
  const all = chart.lines.map(([name]) => samples[name] ?? [])
  const top = roundUp(highest(all.flat()) ?? 0)
  setText(axis, chart.format(top))
  const texts = chart.lines.map(([, label], index) => {
    const values = all[index]
    paths[index].setAttribute('d', drawLine(values, top))
    const text =
      `${label}: now ${chart.format(values.at(-1) ?? null)}, ` +
      `mean ${chart.format(mean(values))}, highest ${chart.format(highest(values))}`
    setText(legend.children[index], `${index === 0 ? '——' : '- - -'} ${text}`)
    return text
  })
  svg.setAttribute('aria-label', `${chart.title}, last 15 minutes. ${texts.join('. ')}.`)
}

function createChart({ title, lines }) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  const paths = lines.map((_, index) => {
    const path = document.createElementNS(SVG, 'path')
    path.setAttribute('class', `line-${index}`)
    return svg.appendChild(path)
  })
  const axis = element('span')
  const times = element('div', element('span', '15 min ago'), element('span', 'now'))
  const legend = element('ul')
  legend.className = 'legend'
  for (const index of lines.keys()) {
    legend.appendChild(element('li')).className = `line-${index}`
  }
  const top = element('div', axis)
  top.className = 'axis'
  times.className = 'axis'
  byId('charts').append(element('figure', element('figcaption', title), top, svg, times, legend))
  return { axis, legend, paths, svg }
}

/** Returns the path of a line: its last value is at the right, and unknown values are gaps. */
function drawLine(values, top) {
  let path = ''
  let isDrawing = false
  for (const [index, value] of values.entries()) {
    if (value !== null) {
      const x = WIDTH - values.length + index
      const y = (HEIGHT - 1 - (value / (top || 1)) * (HEIGHT - 2)).toFixed(1)
      // A value between two gaps is a dot.
      path += isDrawing ? `L${x} ${y}` : `M${x} ${y}h0`
    }
    isDrawing = value !== null
  }
  return path
}

function listMinutes() {
  const { requests = [] } = samples
  return Array.from({ length: Math.ceil(requests.length / 60) }, (_, age) => {
    const end = requests.length - 60 * age
    return { age, from: (name) => samples[name].slice(Math.max(0, end - 60), end) }
  })
}

/** Shows rows in a table. Cells are kept, so that a reader does not lose the place. */
function fillTable(table, columns, rows) {
  const [head, body] = [table.tHead, table.tBodies[0]]
  if (head.rows.length === 0) {
    // The style of a narrow screen would take their roles from the elements.
    table.setAttribute('role', 'table')
    for (const group of [head, body]) group.setAttribute('role', 'rowgroup')
    head.append(createRow(columns.map(([name]) => createCell('th', 'columnheader', name))))
  }
  while (body.rows.length > rows.length) body.lastChild.remove()
  for (const [index, row] of rows.entries()) {
    const shown = body.rows[index] ?? body.appendChild(createRow(columns.map(createBodyCell)))
    for (const [column, [, describe]] of columns.entries()) {
      setText(shown.cells[column], describe(row))
    }
  }
}

function createRow(cells) {
  const row = element('tr', ...cells)
  row.setAttribute('role', 'row')
  return row
}

function createBodyCell([name], index) {
  const cell = index === 0 ? createCell('th', 'rowheader', '') : createCell('td', 'cell', '')
  cell.dataset.label = name
  return cell
}

function createCell(tag, role, text) {
  const cell = element(tag, text)
  cell.setAttribute('role', role)
  if (tag === 'th') cell.scope = role === 'rowheader' ? 'row' : 'col'
  return cell
}

function describeState({ state, heartbeatAge }) {
  const isSilent = state !== 'booting' && (heartbeatAge ?? 0) >= SILENT_SECONDS
  return isSilent ? `${state}, silent for ${uptime(heartbeatAge)}` : state
}

function latest(name) {
  return samples[name]?.at(-1) ?? null
}

function mean(values) {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}

function highest(values) {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : Math.max(...known)
}

/** Returns the next of 1, 2, 5, 10, 20, 50 and so on. */
function roundUp(value) {
  if (value <= 0) return 0
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value
}

function element(tag, ...children) {
  const created = document.createElement(tag)
  created.append(...children)
  return created
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

byId('pause').addEventListener('click', () => {
  isPaused = !isPaused
  byId('pause').setAttribute('aria-pressed', String(isPaused))
  poll()
})
document.addEventListener('visibilitychange', poll)
poll()
