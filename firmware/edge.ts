// The meter's edges: the real bus, sockets, settings and cryptography of the runtime, in the shapes
// that the parts ask for. All that differs between boards ends here.
//
// Owns no decision and no state but whose turn it is on the bus.
import * as ds from '@devicescript/core'
import { digest, hmac, randomBuffer, sha256Hkdf } from '@devicescript/crypto'
import { i2c } from '@devicescript/i2c'
import { connect } from '@devicescript/net'
import type { Socket } from '@devicescript/net'

export interface Bus {
  transfer(address: number, bytes: Buffer, count: number): Promise<Buffer>
}

/** A bus whose transactions come one after the other. */
export class TurnBus implements Bus {
  private bus: Bus
  private busy = false

  constructor(bus: Bus) {
    this.bus = bus
  }

  async transfer(address: number, bytes: Buffer, count: number): Promise<Buffer> {
    while (this.busy) await ds.sleep(1)
    this.busy = true
    try {
      return await this.bus.transfer(address, bytes, count)
    } finally {
      this.busy = false
    }
  }
}

/** The board's own pins. */
export class PinBus implements Bus {
  async transfer(address: number, bytes: Buffer, count: number): Promise<Buffer> {
    return await i2c.xfer(address, bytes, count)
  }
}

const TRANSACTION = 0x80
/** An answer takes 1 to 20 ms: after this long there will be none. */
const ANSWER_MS = 1000

/**
 * A bus elsewhere, by Jacdac's I2C service: command 0x80 [address, count, bytes], its report
 * [status, read].
 */
export class ServiceBus implements Bus {
  private service: ds.I2C
  private waiting: ds.Fiber | null = null
  private answer: Buffer | null = null

  constructor() {
    this.service = new ds.I2C()
    const self = this
    this.service.report().subscribe(packet => {
      if (packet.serviceCommand !== TRANSACTION) return
      self.answer = packet.payload
      const fiber = self.waiting
      self.waiting = null
      if (fiber !== null) fiber.resume(null)
    })
  }

  async transfer(address: number, bytes: Buffer, count: number): Promise<Buffer> {
    if (!this.service.isBound) throw new Error('i2c: no bus')
    this.answer = null
    await this.service.transaction(address, count, bytes)
    if (this.answer === null) {
      this.waiting = ds.Fiber.self()
      await ds.suspend(ANSWER_MS)
      this.waiting = null
    }
    const answer = this.answer
    if (answer === null) throw new Error('i2c: no answer from ' + address)
    if (answer[0] !== 0 || answer.length !== count + 1)
      throw new Error('i2c: status ' + answer[0] + ' from ' + address)
    return answer.slice(1)
  }
}

/** The first bus on which a chip answers at one of `addresses`; waits for one. */
export async function findBus(buses: Bus[], addresses: number[]): Promise<Bus> {
  for (;;) {
    for (let i = 0; i < buses.length; i++)
      for (let j = 0; j < addresses.length; j++) {
        try {
          await buses[i].transfer(addresses[j], Buffer.from([0]), 1)
          return new TurnBus(buses[i])
        } catch (error) {
          await ds.sleep(50)
        }
      }
  }
}

/** A socket in the shape that the HTTP client asks for. */
export class SocketConnection {
  private socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
  }

  async send(bytes: Buffer): Promise<void> {
    await this.socket.send(bytes)
  }

  async receive(timeoutMs: number): Promise<Buffer | null | undefined> {
    return await this.socket.recv(timeoutMs)
  }

  async close(): Promise<void> {
    await this.socket.close()
  }
}

const wifi = new ds.Wifi()

/** The meter's own address, null if it has no Wi-Fi, or no IPv4 address there. */
export async function ownAddress(): Promise<Buffer | null> {
  if (!wifi.isBound) return null
  const address = await wifi.ipAddress.read()
  return address && address.length === 4 ? address : null
}

/** Names the network that the runtime joins, now and at each start. */
export async function joinNetwork(ssid: string, passphrase: string): Promise<void> {
  if (wifi.isBound) await wifi.addNetwork(ssid, passphrase)
}

export async function connectTo(
  host: string,
  port: number,
  tls: boolean,
  timeoutMs: number,
): Promise<SocketConnection> {
  const proto = tls ? 'tls' : 'tcp'
  return new SocketConnection(await connect({ host, port, proto, timeout: timeoutMs }))
}

const settings = new ds.Settings()

/** A setting's bytes, null if there are none. */
export async function getSetting(key: string): Promise<Buffer | null> {
  const packet = await ds.actionReport(
    settings,
    'get',
    async () => await settings.get(key),
    answer => answer.decode()[0] === key,
  )
  const value = packet.decode()[1] as Buffer
  return value && value.length > 0 ? value : null
}

/** Of the pieces, one after the other. */
export function sha256(pieces: Buffer[]): Buffer {
  return digest('sha256', ...pieces)
}

export function hmacSha256(key: Buffer, bytes: Buffer): Buffer {
  return hmac(key, 'sha256', bytes)
}

export function hkdf(key: Buffer, info: string, salt: Buffer): Buffer {
  return sha256Hkdf(key, info, salt)
}

export function random(size: number): Buffer {
  return randomBuffer(size)
}

interface Bytes {
  [index: number]: number
  readonly length: number
}

/** SHA-256 as lms.ts asks for it; its bytes are this runtime's. */
export function hashInto(out: Bytes, at: number, n: number, a: Bytes, b?: Bytes): void {
  const hash = b ? digest('sha256', a as Buffer, b as Buffer) : digest('sha256', a as Buffer)
  const target = out as Buffer
  target.blitAt(at, hash, 0, n)
}

export async function pause(): Promise<void> {
  await ds.sleep(0)
}
