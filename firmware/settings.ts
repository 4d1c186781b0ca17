// What the bench wrote into the meter when it paired it. Written once, read at boot: the runtime's
// settings store may lose everything in a torn write, so nothing that changes ever goes there.
//
// Owns the keys and their bytes (docs/meter.md has the table). It never writes.

export interface Pairing {
  /** Base URL of the ledger, without a slash at its end. */
  ledger: string
  /** The ledger's origin, as in its checkpoints. */
  origin: string
  /** The node's name or address on the LAN. */
  node: string
  /** What the node calls itself, by which it is known elsewhere; empty: by `node`. */
  host: string
  /** The key of the replies' tags: 32 bytes. */
  pairKey: Buffer
  /** The bench's part of the key's randomness: 32 bytes. */
  entropy: Buffer
  /** The bench's nonce for the enrolment: 32 bytes. */
  nonce: Buffer
  /** SHA-256 of the bytecode, as the bench built it; zero if it was not told. */
  firmwareHash: Buffer
  intervalS: number
  batchS: number
  probeS: number
  /** How long an answer of the node may take; the ledger's may take seven seconds more. */
  patienceS: number
  /** Of the first key's tree: 5 or 10. */
  height: number
  calibration: Calibration
  /** All of the home's Wi-Fi networks; empty if the runtime's own settings are to stay as they are. */
  networks: Network[]
}

export interface Network {
  ssid: string
  passphrase: string
}

export interface Calibration {
  id: number
  nanoAmpPerStep: number
  offsetNanoAmp: number
  nanoVoltPerStep: number
}

/** The setting's bytes, null if there is none. */
export type Get = (key: string) => Promise<Buffer | null>

/** Uncalibrated: a shunt of 10 mΩ and the steps of the datasheet. */
export const NOMINAL: Calibration = {
  id: 0,
  nanoAmpPerStep: 250000,
  offsetNanoAmp: 0,
  nanoVoltPerStep: 1250000,
}
/** A record every quarter of an hour, a batch every hour, a probe every half minute. */
const TIMES = [900, 3600, 30]
const DEFAULT_HEIGHT = 5
const MOST_NETWORKS = 4
const DEFAULT_PATIENCE_S = 5

/**
 * The pairing; null while the meter is not paired. Throws, naming the key, if a setting is wrong.
 */
export async function readPairing(get: Get): Promise<Pairing | null> {
  const ledger = await get('ledger')
  if (ledger === null) return null
  const times = await get('times')
  const height = await get('height')
  const patience = await get('patience')
  const calibration = await get('calib')
  const firmwareHash = await get('firmware')
  const host = await get('host')
  const pairing = {
    ledger: text(ledger),
    origin: text(await needed(get, 'origin', 0)),
    node: text(await needed(get, 'node', 0)),
    host: host === null ? '' : text(host),
    pairKey: await needed(get, 'pairkey', 32),
    entropy: await needed(get, 'entropy', 32),
    nonce: await needed(get, 'nonce', 32),
    firmwareHash: firmwareHash === null ? Buffer.alloc(32) : sized(firmwareHash, 'firmware', 32),
    intervalS: time(times, 0),
    batchS: time(times, 1),
    probeS: time(times, 2),
    patienceS: patience === null ? DEFAULT_PATIENCE_S : patience[0],
    height: height === null ? DEFAULT_HEIGHT : height[0],
    calibration: calibration === null ? NOMINAL : toCalibration(calibration),
    networks: await readNetworks(get),
  }
  if (pairing.patienceS < 1) throw new Error('setting patience: expected 1 to 255 s, got 0')
  if (pairing.height !== 5 && pairing.height !== 10)
    throw new Error('setting height: expected 5 or 10, got ' + pairing.height)
  return pairing
}

/** `net1` to `net4`: SSID ‖ 0 ‖ passphrase; one that is not there, or begins with 0, ends the list. */
async function readNetworks(get: Get): Promise<Network[]> {
  const networks: Network[] = []
  for (let i = 1; i <= MOST_NETWORKS; i++) {
    const bytes = await get('net' + i)
    if (bytes === null || bytes[0] === 0) return networks
    const end = bytes.indexOf(0)
    if (end < 1) throw new Error('setting net' + i + ': expected a name and a passphrase')
    const ssid = bytes.slice(0, end).toString()
    networks.push({ ssid, passphrase: bytes.slice(end + 1, bytes.length).toString() })
  }
  return networks
}

async function needed(get: Get, key: string, size: number): Promise<Buffer> {
  const bytes = await get(key)
  if (bytes === null) throw new Error('setting ' + key + ': missing')
  return size > 0 ? sized(bytes, key, size) : bytes
}

function sized(bytes: Buffer, key: string, size: number): Buffer {
  if (bytes.length !== size)
    throw new Error('setting ' + key + ': expected ' + size + ' bytes, got ' + bytes.length)
  return bytes
}

function time(times: Buffer | null, index: number): number {
  if (times === null) return TIMES[index]
  const seconds = unsigned(sized(times, 'times', 12), 4 * index)
  if (seconds < 1 || seconds > 86400) throw new Error('setting times: got ' + seconds + ' s')
  return seconds
}

/** u32 id ‖ u32 nA a step ‖ i32 offset nA ‖ u32 nV a step. */
function toCalibration(bytes: Buffer): Calibration {
  sized(bytes, 'calib', 16)
  const offset = unsigned(bytes, 8)
  return {
    id: unsigned(bytes, 0),
    nanoAmpPerStep: unsigned(bytes, 4),
    offsetNanoAmp: offset >= 2147483648 ? offset - 4294967296 : offset,
    nanoVoltPerStep: unsigned(bytes, 12),
  }
}

function unsigned(bytes: Buffer, at: number): number {
  return bytes[at] + bytes[at + 1] * 256 + bytes[at + 2] * 65536 + bytes[at + 3] * 16777216
}

function text(bytes: Buffer): string {
  let characters = ''
  for (let i = 0; i < bytes.length; i++) characters += String.fromCharCode(bytes[i])
  return characters
}
