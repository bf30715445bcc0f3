// Records what a follower reads of an upgrade, so that it can be replayed without a chain (tests/recordings/*.json).
//
//   node record.mjs PORT OUT.json STEP…
//
// STEP: new | setCode:FILE | authorize:FILE | apply:FILE | storageAuthorize:FILE | remark:HEX
// A recording holds every block from genesis: hash, header, Core_version, runtime version, extrinsics, the storage under
// `keys`; and for each spec_version its metadata, as the runtime's own calls return it.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire((process.env.HERALD_TEST_DEVNET ?? import.meta.dirname) + '/')
const { WebSocket } = require('ws')

const [, , port, out, ...steps] = process.argv
if (!out) {
  console.error('usage: node record.mjs PORT OUT.json STEP…')
  process.exit(2)
}

const socket = new WebSocket(`ws://127.0.0.1:${port}`, { maxPayload: 1 << 28 })
await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
const waiting = new Map()
socket.on('message', (raw) => {
  const reply = JSON.parse(raw)
  waiting.get(reply.id)?.(reply)
  waiting.delete(reply.id)
})
let lastId = 0
const call = (method, ...params) => new Promise((resolve, reject) => {
  const id = ++lastId
  waiting.set(id, ({ error, result }) => (error ? reject(new Error(`${method}: ${JSON.stringify(error)}`)) : resolve(result)))
  socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
})

const run = {
  new: () => call('dev_newBlock', {}),
  setCode: (file) => call('devnet_setCode', file),
  authorize: (file) => call('devnet_authorizeUpgrade', file),
  apply: (file) => call('devnet_applyAuthorizedUpgrade', file),
  storageAuthorize: (file) => call('devnet_storageAuthorize', file),
  remark: (data) => call('devnet_remark', data),
}
for (const step of steps) {
  const [name, ...rest] = step.split(':')
  await run[name](rest.length ? rest.join(':') : undefined)
}

const KEYS = {
  events: '0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7',
  lastRuntimeUpgrade: '0x26aa394eea5630e07c48ae0c9558cef7f9cce9c888469bb1a0dceaa129672ef8',
  authorizedUpgrade: '0x26aa394eea5630e07c48ae0c9558cef72fa9f1bf25567808771bff091dc89ecd',
  timestamp: '0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb',
}

const u32 = (n) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(n)
  return '0x' + bytes.toString('hex')
}

/** The metadata at a block, by the newest stable version the runtime offers, else by the only call old runtimes have. */
const metadataAt = async (hash) => {
  const metadata = { versions: null, at: {}, plain: null }
  try {
    metadata.versions = await call('state_call', 'Metadata_metadata_versions', '0x', hash)
    const list = Buffer.from(metadata.versions.slice(2), 'hex')
    const offered = []
    for (let i = 1; i + 4 <= list.length; i += 4) offered.push(list.readUInt32LE(i))
    const best = u32(Math.max(...offered.filter((v) => v < 1000))) // u32::MAX is the unstable one
    metadata.at[best] = await call('state_call', 'Metadata_metadata_at_version', best, hash)
  } catch {
    metadata.plain = await call('state_call', 'Metadata_metadata', '0x', hash)
  }
  return metadata
}

const blockAt = async (number) => {
  const hash = await call('chain_getBlockHash', number)
  const block = {
    number,
    hash,
    header: await call('chain_getHeader', hash),
    coreVersion: await call('state_call', 'Core_version', '0x', hash),
    runtimeVersion: await call('state_getRuntimeVersion', hash),
    storage: {},
  }
  for (const key of Object.values(KEYS)) {
    const value = await call('state_getStorage', key, hash)
    if (value != null) block.storage[key] = value
  }
  const { extrinsics } = (await call('chain_getBlock', hash)).block
  block.extrinsics = extrinsics.map((x) => (x.length > 40000 ? null : x)) // not the new code itself
  block.extrinsicLens = extrinsics.map((x) => x.length / 2 - 1)
  return block
}

const recording = { chain: await call('system_chain'), properties: await call('system_properties'), keys: KEYS, blocks: [], metadata: {} }
const head = Number((await call('chain_getHeader')).number)
for (let number = 0; number <= head; number++) {
  const block = await blockAt(number)
  recording.metadata[block.runtimeVersion.specVersion] ??= await metadataAt(block.hash)
  recording.blocks.push(block)
  console.log(number, block.hash, block.runtimeVersion.specVersion)
}
writeFileSync(out, JSON.stringify(recording))
socket.close()
