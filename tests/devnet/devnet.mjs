// A development chain in one process and without a network: chopsticks executes a REAL runtime, JSON-RPC is on loopback.
//
//   node devnet.mjs SPEC [PORT[,PORT…]=0] [BLOCK_MS=0]
//
// SPEC      a runtime blob (.wasm, compressed or not: its genesis is made here) or a raw chain spec (.json)
// PORT      0 takes a free one; several ports are several endpoints of one chain
// BLOCK_MS  a block each so many milliseconds; 0: only when asked
//
// When it is ready it prints one line: `listening ws://127.0.0.1:PORT[ ws://…]`.
// Beside chopsticks' own methods (dev_newBlock, dev_setStorage, …) each endpoint answers
//   devnet_setCode [FILE]                 a block with sudo(system.set_code)                      → block hash
//   devnet_authorizeUpgrade [FILE]        a block with sudo(system.authorize_upgrade)             → block hash
//   devnet_applyAuthorizedUpgrade [FILE]  a block with system.apply_authorized_upgrade            → block hash
//   devnet_storageAuthorize [FILE]        the authorization put in storage (chains without sudo)  → the storage item
//   devnet_enactAuthorizedUpgrade [FILE]  a block with parachainSystem.enact_authorized_upgrade   → block hash
//   devnet_remark [HEX]                   a block with system.remark_with_event                   → block hash
//   devnet_sudo [PALLET, CALL, ARG…]      a block with sudo(pallet.call(arg…))                    → block hash
//   devnet_blockEvery [MS]                changes BLOCK_MS; 0 stalls the chain
//   devnet_dropClients []                 breaks every connection to this endpoint
//   devnet_outage [MS]                    breaks them and answers nobody at this endpoint for so long; the chain goes on
// FILE is what SPEC may be. The first three take an extrinsic through the runtime; nothing of it is imitated.
//
// Environment: HERALD_TEST_DEVNET (folder with node_modules; default: this one), HIDE (prefixes of methods to leave out,
// by commas: HIDE=chainHead_v1_,archive_v1_ leaves the legacy ones), FIX_FOLLOW=0 (a finalized stream that ends silently),
// GENESIS_MS (the clock at genesis), RT_LOG (0…5).
//
// Not as on a real chain, so assert on none of it: the genesis hash (0x4545…), the state root (zero), finality (at once),
// signatures (not checked), no RuntimeEnvironmentUpdated digest, no chain_subscribeAllHeads.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'

// from a folder of our choice: `import` would look for node_modules beside this file only
const require = createRequire((process.env.HERALD_TEST_DEVNET ?? import.meta.dirname) + '/')
const { allHandlers, BuildBlockMode, GenesisProvider, ResponseError, setStorage, setup } = require('@acala-network/chopsticks-core')
const { GenericExtrinsic } = require('@polkadot/types')
const { blake2AsHex } = require('@polkadot/util-crypto')
const { WebSocketServer } = require('ws')

const [, , specFile, ports = '0', blockMs = '0'] = process.argv
if (!specFile) {
  console.error('usage: node devnet.mjs SPEC [PORT[,PORT…]] [BLOCK_MS]')
  process.exit(2)
}

// ---------------------------------------------------------------------------------------------------------- genesis

const ALICE = 'd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d'
const KEY = {
  code: '0x3a636f6465',
  sudo: '0x5c0d1176a568c1f92944340dbfed9e9c530ebca703c85910e7164cb7d1c9e47b',
  timestamp: '0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb',
  alice: '0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9de1e86a9a8c739864cf3cc5ec2bea59f' + ALICE,
}
const isSpec = (file) => file.endsWith('.json')
const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex')
const codeOf = (file) => (isSpec(file) ? JSON.parse(readFileSync(file)).genesis.raw.top[KEY.code] : hex(readFileSync(file)))

/** The genesis of a bare runtime: its code, and Alice as the sudo key and an account. */
const specOfRuntime = (file) => ({
  name: 'Devnet',
  id: 'devnet',
  chainType: 'Development',
  bootNodes: [],
  properties: { ss58Format: 0, tokenDecimals: 10, tokenSymbol: 'PAS' },
  genesis: {
    raw: {
      top: {
        [KEY.code]: codeOf(file),
        [KEY.sudo]: '0x' + ALICE,
        [KEY.alice]: '0x' + '00000000' + '00000000' + '01000000' + '00000000', // nonce, consumers, providers, sufficients
      },
      childrenDefault: {},
    },
  },
})

const loadSpec = (file) => {
  const spec = isSpec(file) ? JSON.parse(readFileSync(file)) : specOfRuntime(file)
  for (const k of ['ss58Format', 'tokenDecimals']) {
    if (typeof spec.properties?.[k] === 'string') spec.properties[k] = Number(spec.properties[k])
  }
  const top = spec.genesis.raw.top
  // without a time at genesis chopsticks reads the clock twice, and BABE may find that timestamp and slot disagree
  const now = Buffer.alloc(8)
  now.writeBigUInt64LE(BigInt(process.env.GENESIS_MS ?? 1_700_000_000_000))
  top[KEY.timestamp] ??= hex(now)
  spec.genesis.raw.top = Object.fromEntries(Object.entries(top).sort(([a], [b]) => (a < b ? -1 : 1)))
  return spec
}

const startChain = (spec) => {
  const provider = new GenesisProvider(spec)
  const sortedKeys = Object.keys(spec.genesis.raw.top)
  const send = provider.send
  provider.send = async (method, params, cached) => {
    if (method !== 'state_getKeysPaged' && method !== 'state_getKeysPagedAt') return send(method, params, cached)
    // strictly after `start`: chopsticks gives `start` itself back, and a migration's next_key then panics in the executor
    const [prefix, size, start] = params
    return sortedKeys.filter((k) => k.startsWith(prefix) && (!start || k > start)).slice(0, size)
  }
  provider.clone = () => provider
  return setup({
    genesis: provider,
    buildBlockMode: BuildBlockMode.Manual,
    mockSignatureHost: true,
    runtimeLogLevel: Number(process.env.RT_LOG ?? 1),
  })
}

const spec = loadSpec(specFile)
const chain = await startChain(spec)

// ----------------------------------------------------------------------------------------------------------- blocks

/** One block after the other, whoever asks: the timer, dev_newBlock or an extrinsic. */
let last = Promise.resolve()
const inTurn = (build) => {
  const mine = last.then(build)
  last = mine.catch(() => {})
  return mine
}

/** One block with one extrinsic, signed (in pretence) by the sudo key, else by Alice. */
const blockWith = (makeCall) => inTurn(async () => {
  const head = chain.head
  const meta = await head.meta
  const registry = await head.registry
  const who = (await head.get(KEY.sudo)) ?? '0x' + ALICE
  const account = await head.read('AccountInfo', meta.query.system.account, who)
  const nonce = account?.nonce.toNumber() ?? 0
  const free = account?.data?.free // a runtime without balances has none
  if (!account || (free && free.toBigInt() < 10n ** 14n)) {
    const rich = { providers: 1, nonce, data: { free: '1000000000000000000' } }
    await setStorage(chain, { System: { Account: [[[who], rich]] } })
  }
  const extrinsic = new GenericExtrinsic(registry, registry.createType('Call', makeCall(meta).toU8a()))
  extrinsic.signFake(who, { blockHash: head.hash, genesisHash: head.hash, runtimeVersion: await head.runtimeVersion, nonce })
  const magic = new Uint8Array(64).fill(0xcd) // what the signature host of chopsticks accepts
  magic.set([0xde, 0xad, 0xbe, 0xef])
  extrinsic.signature.set(magic)
  return (await chain.newBlock({ transactions: [extrinsic.toHex()] })).hash
})

const sudo = (meta, call) => meta.tx.sudo.sudoUncheckedWeight(call, { refTime: 0, proofSize: 0 })

const storageAuthorize = async (file) => {
  const codeHash = blake2AsHex(codeOf(file), 256)
  const meta = await chain.head.meta
  const pallet = meta.query.system.authorizedUpgrade ? 'System' : 'ParachainSystem'
  const entry = meta.query[pallet[0].toLowerCase() + pallet.slice(1)].authorizedUpgrade
  const type = meta.registry.createType(meta.registry.createLookupType(entry.meta.type.asPlain)).toRawType()
  const plain = type === 'H256' || type === '[u8;32]'
  await setStorage(chain, { [pallet]: { AuthorizedUpgrade: plain ? codeHash : { codeHash, checkVersion: true } } })
  return `${pallet}.AuthorizedUpgrade`
}

let every = 0
let timer
const blockEvery = (ms) => {
  every = Number(ms)
  clearTimeout(timer)
  if (every) timer = setTimeout(tick, every)
  return true
}
const tick = async () => {
  await inTurn(() => chain.newBlock()).catch((e) => console.error('newBlock:', e.message))
  if (every) blockEvery(every)
}

const devnet = {
  dev_newBlock: (params) => inTurn(() => allHandlers.dev_newBlock({ chain }, params)),
  devnet_setCode: ([file]) => blockWith((m) => sudo(m, m.tx.system.setCode(codeOf(file)))),
  devnet_authorizeUpgrade: ([file]) => blockWith((m) => sudo(m, m.tx.system.authorizeUpgrade(blake2AsHex(codeOf(file), 256)))),
  devnet_applyAuthorizedUpgrade: ([file]) => blockWith((m) => m.tx.system.applyAuthorizedUpgrade(codeOf(file))),
  devnet_storageAuthorize: ([file]) => inTurn(() => storageAuthorize(file)),
  devnet_enactAuthorizedUpgrade: ([file]) => blockWith((m) => m.tx.parachainSystem.enactAuthorizedUpgrade(codeOf(file))),
  devnet_sudo: ([pallet, call, ...args]) => blockWith((m) => sudo(m, m.tx[pallet][call](...args))),
  devnet_remark: ([data = '0x00']) => blockWith((m) => m.tx.system.remarkWithEvent(data)),
  devnet_blockEvery: ([ms = 0]) => blockEvery(ms),
}

// --------------------------------------------------------------------------------------------------------- JSON-RPC

// chopsticks gives the runtime in a shape of its own; the JSON-RPC specification (and subxt) want this one
const specRuntime = (r) => (r && !r.type ? { type: 'valid', spec: { ...r, apis: Object.fromEntries(r.apis) } } : r)
const specEvent = (e) => {
  if (e?.event === 'initialized') return { ...e, finalizedBlockRuntime: specRuntime(e.finalizedBlockRuntime) }
  if (e?.event === 'newBlock') return { ...e, newRuntime: specRuntime(e.newRuntime) }
  return e
}
const fixFollow = process.env.FIX_FOLLOW !== '0'
const hidden = (process.env.HIDE ?? '').split(',').filter(Boolean)
const isHidden = (method) => hidden.some((prefix) => method.startsWith(prefix))
const methods = [...Object.keys(allHandlers), 'rpc_methods'].filter((m) => !isHidden(m)).sort()

const subscriptionsOf = (socket) => {
  const cancel = new Map()
  const manager = {
    subscribe: (method, id, onCancel = () => {}) => {
      cancel.set(id, onCancel)
      return (data) => {
        if (!cancel.has(id) || socket.readyState !== 1) return
        const result = method === 'chainHead_v1_followEvent' && fixFollow ? specEvent(data) : data
        socket.send(JSON.stringify({ jsonrpc: '2.0', method, params: { subscription: id, result } }))
      }
    },
    unsubscribe: (id) => {
      cancel.get(id)?.(id)
      cancel.delete(id)
    },
  }
  socket.on('close', () => [...cancel.keys()].forEach(manager.unsubscribe))
  return manager
}

const answer = async (endpoint, subscriptions, { id, method, params = [] }) => {
  try {
    let result
    if (method === 'rpc_methods') result = { methods }
    else if (devnet[method]) result = await devnet[method](params)
    else if (endpoint[method]) result = await endpoint[method](params)
    else if (allHandlers[method] && !isHidden(method)) result = await allHandlers[method]({ chain }, params, subscriptions)
    else throw new ResponseError(-32601, `Method not found: ${method}`)
    return { jsonrpc: '2.0', id, result: result ?? null }
  } catch (e) {
    const error = e instanceof ResponseError ? { code: e.code, message: e.message } : { code: -32603, message: String(e?.message ?? e) }
    return { jsonrpc: '2.0', id, error }
  }
}

const serve = (port) => new Promise((resolve, reject) => {
  const server = http.createServer((_request, response) => response.writeHead(405).end())
  const sockets = new WebSocketServer({ server, maxPayload: 1 << 27 })
  const drop = () => {
    for (const socket of sockets.clients) socket.terminate()
    return true
  }
  const endpoint = {
    devnet_dropClients: drop,
    devnet_outage: ([ms = 1000]) => {
      const { port } = server.address()
      server.close()
      drop()
      setTimeout(() => server.listen(port, '127.0.0.1'), Number(ms))
      return true
    },
  }
  sockets.on('connection', (socket) => {
    const subscriptions = subscriptionsOf(socket)
    const one = (request) => answer(endpoint, subscriptions, request)
    socket.on('error', () => {})
    socket.on('message', async (raw) => {
      const request = JSON.parse(raw)
      const reply = Array.isArray(request) ? await Promise.all(request.map(one)) : await one(request)
      if (socket.readyState === 1) socket.send(JSON.stringify(reply))
    })
  })
  sockets.on('error', reject)
  server.listen(Number(port), '127.0.0.1', () => resolve(`ws://127.0.0.1:${server.address().port}`))
})

const urls = await Promise.all(ports.split(',').map(serve))
console.log(`listening ${urls.join(' ')}`)
blockEvery(blockMs)
