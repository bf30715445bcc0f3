// What a recording's blocks show of upgrades, a thing a line: node shows.mjs RECORDING.json
//
//   BLOCK HASH WHAT      WHAT: an event as Pallet.Name, then a storage item or a version that was another in the block before
//
// A second opinion: decoded by polkadot.js, not by herald's client. As there, events are read by the metadata of the block before.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire((process.env.HERALD_TEST_DEVNET ?? import.meta.dirname) + '/')
const { Metadata, TypeRegistry } = require('@polkadot/types')

const [, , file] = process.argv
if (!file) {
  console.error('usage: node shows.mjs RECORDING.json')
  process.exit(2)
}
const TELLING = ['System', 'Sudo', 'ParachainSystem', 'MultiBlockMigrations']

const registryOf = ({ at, plain }) => {
  const registry = new TypeRegistry()
  const [newest] = Object.values(at)
  const answer = Buffer.from((newest ?? plain).slice(2), 'hex')
  const opaque = registry.createType('Bytes', newest ? answer.subarray(1) : answer) // the newer call answers with an Option
  registry.setMetadata(new Metadata(registry, opaque.toHex()))
  return registry
}

const { blocks, keys, metadata } = JSON.parse(readFileSync(file))
const registries = Object.fromEntries(Object.entries(metadata).map(([version, m]) => [version, registryOf(m)]))

const eventsOf = (block, registry) => {
  const records = registry.createType('Vec<FrameSystemEventRecord>', block.storage[keys.events])
  if (records.toHex() !== block.storage[keys.events]) throw new Error(`block ${block.number}: its events are not what was decoded`)
  return records
    .map(({ event }) => `${event.section[0].toUpperCase()}${event.section.slice(1)}.${event.method}`)
    .filter((name) => TELLING.includes(name.split('.')[0]) && !name.startsWith('System.Extrinsic'))
}

// a follower begins behind the genesis: what it sees in block 1 is what it counts from
for (let i = 2; i < blocks.length; i++) {
  const [before, block] = [blocks[i - 1], blocks[i]]
  const shows = eventsOf(block, registries[before.runtimeVersion.specVersion])
  const changed = (read) => read(block) != null && read(block) !== read(before)
  if (changed((b) => b.storage[keys.authorizedUpgrade])) shows.push('System.AuthorizedUpgrade')
  if (changed((b) => b.storage[keys.lastRuntimeUpgrade])) shows.push('System.LastRuntimeUpgrade')
  if (changed((b) => b.runtimeVersion.specVersion)) shows.push('spec_version')
  if (changed((b) => b.runtimeVersion.transactionVersion)) shows.push('transaction_version')
  for (const what of shows) console.log(block.number, block.hash, what)
}
