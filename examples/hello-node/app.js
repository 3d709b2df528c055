// The smallest application: a function of (req, res). It is what `npm start` serves.

export default (req, res) => {
  res.setHeader('Content-Type', 'text/plain; charset=utf-8')
  res.end(`Hello from Monoceros, ${req.method} ${req.url}\n`)
}
