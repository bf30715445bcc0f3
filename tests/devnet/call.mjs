// Calls a chain once, by hand: node call.mjs URL|PORT METHOD [JSON-PARAM]…
import { createRequire } from 'node:module'

const require = createRequire((process.env.HERALD_TEST_DEVNET ?? import.meta.dirname) + '/')
const { WebSocket } = require('ws')

const [, , target, method, ...params] = process.argv
if (!method) {
  console.error('usage: node call.mjs URL|PORT METHOD [JSON-PARAM]…')
  process.exit(2)
}
const orText = (x) => {
  try {
    return JSON.parse(x)
  } catch {
    return x
  }
}
const url = /^\d+$/.test(target) ? `ws://127.0.0.1:${target}` : target
const socket = new WebSocket(url, { maxPayload: 1 << 27 })
socket.on('error', (e) => {
  console.error(`${url}: ${e.message || e.code}`)
  process.exit(1)
})
socket.on('open', () => socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: params.map(orText) })))
socket.on('message', (raw) => {
  const reply = JSON.parse(raw)
  console.log(JSON.stringify(reply.result ?? reply.error ?? null))
  socket.close()
  process.exitCode = reply.error ? 1 : 0
})
