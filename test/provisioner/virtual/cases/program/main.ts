// A program for the tests of the virtual meter: it does what its setting `job` says, once a second,
// and prints what it finds. Jobs: 1 I²C round trip, 2 fill FRAM, 3 fetch over a socket, 4 panic,
// 5 as much of the bus and the network as the meter's firmware uses.
import * as ds from '@devicescript/core'
import { connect } from '@devicescript/net'

const FRAM = 0x50
const SENSOR = 0x40
const TRANSACTION = 0x80

const service = new ds.I2C()
const settings = new ds.Settings()
const button = new ds.Button()
let answer: Buffer = null
let waiting: ds.Fiber = null

service.report().subscribe(packet => {
  if (packet.serviceCommand !== TRANSACTION) return
  answer = packet.payload
  const fiber = waiting
  waiting = null
  if (fiber !== null) fiber.resume(null)
})

async function transfer(address: number, write: Buffer, readBytes: number): Promise<Buffer> {
  answer = null
  await service.transaction(address, readBytes, write)
  if (answer === null) {
    waiting = ds.Fiber.self()
    await ds.suspend(1000)
    waiting = null
  }
  return answer
}

async function getSetting(key: string): Promise<Buffer> {
  const packet = await ds.actionReport(
    settings,
    'get',
    async () => await settings.get(key),
    report => report.decode()[0] === key,
  )
  return packet.decode()[1] as Buffer
}

async function fetch(port: number): Promise<void> {
  const socket = await connect({ host: '127.0.0.1', port: port, timeout: 5000 })
  await socket.send('GET /counters HTTP/1.0\r\n\r\n')
  let bytes = 0
  for (;;) {
    const part = await socket.recv(5000)
    if (part === undefined || part === null) break
    bytes += part.length
  }
  await socket.close()
  console.log('fetched ' + bytes)
}

async function fill(count: number): Promise<void> {
  const bytes = Buffer.alloc(2 + 32)
  bytes[0] = 1
  for (let i = 0; i < 32; i++) bytes[2 + i] = count % 256
  const reply = await transfer(FRAM, bytes, 0)
  console.log('filled ' + count + ' status ' + reply[0])
}

async function turn(job: number, count: number, port: number): Promise<void> {
  if (job === 1) {
    const maker = await transfer(SENSOR, Buffer.from([0xfe]), 2)
    const nobody = await transfer(0x21, Buffer.from([0]), 1)
    console.log('maker ' + maker.toString('hex') + ' nobody ' + nobody.toString('hex'))
  } else if (job === 2) await fill(count)
  else if (job === 3) await fetch(port)
  else if (job === 4) throw new Error('on purpose')
  else if (job === 5) {
    await transfer(SENSOR, Buffer.from([1]), 2)
    await transfer(SENSOR, Buffer.from([2]), 2)
    await transfer(FRAM, Buffer.from([0, 0, 1, 2, 3, 4, 5, 6, 7, 8]), 0)
    if (count % 10 === 0) await fetch(port)
  }
}

async function main(): Promise<void> {
  while (!service.isBound) await ds.sleep(1)
  button.up.subscribe(() => {
    console.log('button up')
  })
  let job = await getSetting('job')
  while (job.length === 0) {
    await ds.sleep(10)
    job = await getSetting('job')
  }
  console.log('job ' + job.toString('hex'))
  const port = job[1] + 256 * job[2]
  let nextMs = ds.millis()
  for (let count = 0; ; count++) {
    if (job[0] !== 5) console.log('tick ' + count + ' at ' + nextMs + ' is ' + ds.millis())
    await turn(job[0], count, port)
    nextMs += 1000
    await ds.sleep(Math.max(1, nextMs - ds.millis()))
  }
}

main.start()
