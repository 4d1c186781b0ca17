// The meter's face: what the screen says, as text and a small creature, drawn into a picture of
// 128 × 64 points; and the SSD1306 (Solomon Systech datasheet) that shows it, which is sent only
// what changed.
//
// Owns the layout, the font and the chip's commands. It measures nothing: it is told a `Face`.
import { FLAG } from './wire.js'

/** What there is to show. */
export interface Face {
  /** Mean of the last second: mW, -1 if the sensor gave none. */
  milliW: number
  todayMicroWh: number
  uptimeS: number
  wanInBytes: number
  wanOutBytes: number
  diskUsedBytes: number
  /** 0 unknown, 1 up, 2 down. */
  reach: number
  /** What was wrong with the last probe: a flag of wire.ts, 0 if nothing was. */
  why: number
  probesMade: number
  probesAnswered: number
  /** Intervals that the ledger has not acknowledged yet. */
  waiting: number
  /** Since the last acknowledgement; -1 if there was none. */
  ackedAgoS: number
  /** Unix time, 0 while it is unknown. */
  unixS: number
  meterId: string
  /** In a few words what is wrong, or what is going on; empty if all is well. */
  notice: string
  /** Whether the notice is a fault. */
  fault: boolean
}

/** Of a meter that knows nothing yet, for it cannot read its memory. */
export function troubledFace(words: string): Face {
  return {
    milliW: -1,
    todayMicroWh: 0,
    uptimeS: 0,
    wanInBytes: 0,
    wanOutBytes: 0,
    diskUsedBytes: 0,
    reach: 0,
    why: 0,
    probesMade: 0,
    probesAnswered: 0,
    waiting: 0,
    ackedAgoS: -1,
    unixS: 0,
    meterId: '',
    notice: words,
    fault: true,
  }
}

export const WIDTH = 128
export const HEIGHT = 64
/** Pages that the button turns through. */
export const PAGES = 3

/** Writes `bytes` to the chip at `address`, then reads `count` bytes; throws if nobody answers. */
export interface Bus {
  transfer(address: number, bytes: Buffer, count: number): Promise<Buffer>
}

const ADDRESS = 0x3c
const CELL = 6

/** The picture, as the chip has it: byte x + 128 × (y / 8), bit y mod 8. */
export function draw(face: Face, page: number): Buffer {
  const picture = Buffer.alloc((WIDTH * HEIGHT) / 8)
  if (page === 0) drawNow(picture, face)
  else if (page === 1) drawTraffic(picture, face)
  else drawLedger(picture, face)
  for (let x = 0; x < WIDTH; x++) picture[x + 7 * WIDTH] = face.fault ? 0xff : 0x00
  text(picture, 0, 7, wordsOf(face).slice(0, 21), face.fault)
  return picture
}

/** Watts, large; energy of today; uptime; the creature. */
function drawNow(picture: Buffer, face: Face): void {
  const watts = face.milliW < 0 ? '--.-' : fixed(face.milliW, 1000, 1)
  large(picture, 0, 0, watts + ' W')
  text(picture, 0, 3, 'today ' + fixed(face.todayMicroWh, 1000000000, 3) + ' kWh', false)
  text(picture, 0, 4, 'up ' + duration(face.uptimeS), false)
  text(picture, 0, 5, 'in ' + bytes(face.wanInBytes) + ' out ' + bytes(face.wanOutBytes), false)
  creature(picture, 108, 0, moodOf(face))
}

function drawTraffic(picture: Buffer, face: Face): void {
  text(picture, 0, 0, 'claimed by the node', false)
  text(picture, 0, 2, 'in    ' + bytes(face.wanInBytes), false)
  text(picture, 0, 3, 'out   ' + bytes(face.wanOutBytes), false)
  text(picture, 0, 4, 'disk  ' + bytes(face.diskUsedBytes), false)
  text(picture, 0, 5, 'asked ' + face.probesMade + ' got ' + face.probesAnswered, false)
}

function drawLedger(picture: Buffer, face: Face): void {
  text(picture, 0, 0, 'commons ledger', false)
  const ago = face.ackedAgoS < 0 ? 'never' : duration(face.ackedAgoS) + ' ago'
  text(picture, 0, 2, 'heard   ' + ago, false)
  text(picture, 0, 3, 'waiting ' + face.waiting, false)
  text(picture, 0, 4, 'time    ' + (face.unixS > 0 ? timeOfDay(face.unixS) : 'unknown'), false)
  text(picture, 0, 5, 'id ' + face.meterId, false)
}

/** The last line of every page: what is wrong, or how things are. */
export function wordsOf(face: Face): string {
  if (face.notice.length > 0) return face.notice
  if (face.reach === 2) return whyWords(face.why)
  if (face.reach === 0) return 'looking for the node'
  if (face.ackedAgoS < 0) return 'ledger: not yet'
  return face.waiting > 0 ? 'ledger ok, ' + face.waiting + ' waiting' : 'ledger ok'
}

function whyWords(why: number): string {
  if (why === FLAG.refused) return 'node refuses'
  if (why === FLAG.noRoute) return 'node is not found'
  return why === FLAG.wrongAnswer ? 'node answers wrongly' : 'node does not answer'
}

const MOOD = { well: 0, worried: 1, asleep: 2 }

function moodOf(face: Face): number {
  if (face.fault || face.reach === 2) return MOOD.worried
  return face.reach === 1 ? MOOD.well : MOOD.asleep
}

/**
 * `value / unit` with `decimals` digits after the point, cut, not rounded: energy never flatters.
 */
export function fixed(value: number, unit: number, decimals: number): string {
  let scale = 1
  for (let i = 0; i < decimals; i++) scale *= 10
  const units = Math.floor((value * scale) / unit)
  let digits = '' + (units % scale)
  while (digits.length < decimals) digits = '0' + digits
  return Math.floor(units / scale) + '.' + digits
}

export function bytes(value: number): string {
  if (value < 1000) return value + 'B'
  const units = 'kMGTP'
  let unit = 1000
  let i = 0
  while (value >= unit * 1000 && i < units.length - 1) {
    unit *= 1000
    i++
  }
  const digits = value >= unit * 100 ? '' + Math.floor(value / unit) : fixed(value, unit, 1)
  return digits + units.charAt(i)
}

export function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (minutes < 1) return seconds + ' s'
  if (hours < 1) return minutes + ' min'
  if (hours < 48) return hours + ' h ' + (minutes % 60) + ' min'
  return Math.floor(hours / 24) + ' d ' + (hours % 24) + ' h'
}

function timeOfDay(unixS: number): string {
  const minutes = Math.floor(unixS / 60) % 1440
  const hour = Math.floor(minutes / 60)
  const minute = minutes % 60
  return (hour < 10 ? '0' : '') + hour + ':' + (minute < 10 ? '0' : '') + minute + ' UTC'
}

// ---------------------------------------------------------------- points

/** One line of 21 characters to a page of eight points. */
function text(picture: Buffer, x: number, row: number, line: string, inverse: boolean): void {
  for (let i = 0; i < line.length; i++) {
    const left = x + i * CELL
    if (left + 5 > WIDTH) return
    for (let column = 0; column < 5; column++) {
      const bits = glyphColumn(line.charCodeAt(i), column)
      picture[left + column + row * WIDTH] = inverse ? 255 - bits : bits
    }
  }
}

/** Text of double size, two pages high. */
function large(picture: Buffer, x: number, row: number, line: string): void {
  for (let i = 0; i < line.length; i++)
    for (let column = 0; column < 5; column++) {
      const tall = doubled(glyphColumn(line.charCodeAt(i), column))
      const left = x + (i * CELL + column) * 2
      if (left + 1 >= WIDTH) return
      for (let dx = 0; dx < 2; dx++) {
        picture[left + dx + row * WIDTH] = tall % 256
        picture[left + dx + (row + 1) * WIDTH] = Math.floor(tall / 256)
      }
    }
}

/** Each of eight bits twice. */
function doubled(bits: number): number {
  let wide = 0
  for (let i = 7; i >= 0; i--) wide = wide * 4 + (Math.floor(bits / POWERS[i]) % 2) * 3
  return wide
}

const POWERS = [1, 2, 4, 8, 16, 32, 64, 128]

/** The creature: 18 columns of 16 points; body, then a face by mood. */
function creature(picture: Buffer, x: number, row: number, mood: number): void {
  const rows = CREATURE[mood]
  for (let y = 0; y < rows.length; y++)
    for (let column = 0; column < rows[y].length; column++)
      if (rows[y].charCodeAt(column) === 35) {
        const at = x + column + (row + Math.floor(y / 8)) * WIDTH
        picture[at] = picture[at] | POWERS[y % 8]
      }
}

const CREATURE = [
  [
    '....##......##....',
    '.....##....##.....',
    '......######......',
    '....##......##....',
    '...#..........#...',
    '..#...##..##...#..',
    '..#...##..##...#..',
    '..#............#..',
    '..#..#......#..#..',
    '..#...######...#..',
    '...#..........#...',
    '....##......##....',
    '......######......',
    '.....#......#.....',
    '....##......##....',
  ],
  [
    '..##..........##..',
    '....##......##....',
    '......######......',
    '....##......##....',
    '...#.##....##.#...',
    '..#....#..#....#..',
    '..#...##..##...#..',
    '..#............#..',
    '..#....####....#..',
    '..#...#....#...#..',
    '...#..........#...',
    '....##......##....',
    '......######......',
    '.....#......#.....',
    '....##......##....',
  ],
  [
    '............####..',
    '...............#..',
    '......######..#...',
    '....##......####..',
    '...#..........#...',
    '..#............#..',
    '..#..###..###..#..',
    '..#............#..',
    '..#............#..',
    '..#.....##.....#..',
    '...#..........#...',
    '....##......##....',
    '......######......',
    '.....##....##.....',
    '..................',
  ],
]

/** Column 0–4 of a character's 5 × 7 points, lowest bit on top; a box for what the font lacks. */
function glyphColumn(code: number, column: number): number {
  if (code < 32 || code > 126) return column % 4 === 0 ? 0x7f : 0x41
  const at = ((code - 32) * 5 + column) * 2
  return hexDigit(FONT.charCodeAt(at)) * 16 + hexDigit(FONT.charCodeAt(at + 1))
}

function hexDigit(code: number): number {
  return code < 58 ? code - 48 : code - 87
}

/** Space to tilde in ASCII order, five columns each, two hexadecimal digits a column. */
const FONT =
  '0000000000' + '00005f0000' + '0007000700' + '147f147f14' + '242a7f2a12' + '2313086462' +
  '3649552250' + '0005030000' + '001c224100' + '0041221c00' + '14083e0814' + '08083e0808' +
  '0050300000' + '0808080808' + '0060600000' + '2010080402' +
  '3e5149453e' + '00427f4000' + '4261514946' + '2141454b31' + '1814127f10' +
  '2745454539' + '3c4a494930' + '0171090503' + '3649494936' + '064949291e' +
  '0036360000' + '0056360000' + '0814224100' + '1414141414' + '0041221408' + '0201510906' +
  '324979413e' + '7e1111117e' + '7f49494936' + '3e41414122' + '7f4141221c' + '7f49494941' +
  '7f09090901' + '3e4149497a' + '7f0808087f' + '00417f4100' + '2040413f01' + '7f08142241' +
  '7f40404040' + '7f020c027f' + '7f0408107f' + '3e4141413e' + '7f09090906' + '3e4151215e' +
  '7f09192946' + '4649494931' + '01017f0101' + '3f4040403f' + '1f2040201f' + '3f4038403f' +
  '6314081463' + '0708700807' + '6151494543' + '007f414100' + '0204081020' + '0041417f00' +
  '0402010204' + '4040404040' + '0001020400' + '2054545478' + '7f48444438' + '3844444420' +
  '384444487f' + '3854545418' + '087e090102' + '0c5252523e' + '7f08040478' + '00447d4000' +
  '2040443d00' + '7f10284400' + '00417f4000' + '7c04180478' + '7c08040478' + '3844444438' +
  '7c14141408' + '081414187c' + '7c08040408' + '4854545420' + '043f444020' + '3c4040207c' +
  '1c2040201c' + '3c4030403c' + '4428102844' + '0c5050503c' + '4464544c44' + '0008364100' +
  '00007f0000' + '0041360800' + '1008081008'

// ---------------------------------------------------------------- SSD1306

/** Datasheet, "Application example": 128 × 64, charge pump, horizontal addressing, display on. */
const SETUP = [
  0xae, 0xd5, 0x80, 0xa8, 0x3f, 0xd3, 0x00, 0x40, 0x8d, 0x14, 0x20, 0x00, 0xa1, 0xc8, 0xda, 0x12,
  0x81, 0xcf, 0xd9, 0xf1, 0xdb, 0x40, 0xa4, 0xa6, 0xaf,
]
const COMMAND = 0x00
const DATA = 0x40
const SET_COLUMNS = 0x21
const SET_PAGES = 0x22

export class Ssd1306 {
  private bus: Bus
  /** What the chip shows; null until it was set up. */
  private shown: Buffer | null = null

  constructor(bus: Bus) {
    this.bus = bus
  }

  /** Shows `picture`, sending of each page the span that changed. Throws if the chip is absent. */
  async show(picture: Buffer): Promise<void> {
    const shown = this.shown
    // Until the whole picture has arrived nothing is known of what the chip shows.
    this.shown = null
    if (shown === null) await this.command(SETUP)
    for (let page = 0; page < HEIGHT / 8; page++) {
      const span = changed(picture, shown, page * WIDTH)
      if (span === null) continue
      await this.command([SET_COLUMNS, span.first, span.last, SET_PAGES, page, page])
      const packet = Buffer.alloc(2 + span.last - span.first)
      packet[0] = DATA
      for (let x = span.first; x <= span.last; x++)
        packet[1 + x - span.first] = picture[page * WIDTH + x]
      await this.bus.transfer(ADDRESS, packet, 0)
    }
    this.shown = picture
  }

  private async command(codes: number[]): Promise<void> {
    const packet = Buffer.alloc(1 + codes.length)
    packet[0] = COMMAND
    for (let i = 0; i < codes.length; i++) packet[1 + i] = codes[i]
    await this.bus.transfer(ADDRESS, packet, 0)
  }
}

/** First and last column of a page that differ; all of them if nothing is shown yet. */
function changed(
  picture: Buffer,
  shown: Buffer | null,
  at: number,
): { first: number; last: number } | null {
  if (shown === null) return { first: 0, last: WIDTH - 1 }
  let first = 0
  while (first < WIDTH && picture[at + first] === shown[at + first]) first++
  if (first === WIDTH) return null
  let last = WIDTH - 1
  while (picture[at + last] === shown[at + last]) last--
  return { first, last }
}
