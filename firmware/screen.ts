// The meter's face: what the screen says, as text and a small creature, drawn line by line as 128 × 64
// points; and the SSD1306 (Solomon Systech datasheet) that shows it, which is sent the lines that changed.
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
const CREATURE_X = 108

/** A page as the screen shows it: large words and the creature at its top, lines of text, the last alarmed. */
export interface Layout {
  /** Two lines high; empty: none. */
  large: string
  /** The creature's, -1 if it is not there. */
  mood: number
  /** Eight, from the top, 21 characters each. */
  lines: string[]
  /** The last line is white. */
  alarm: boolean
}

export function layoutOf(face: Face, page: number): Layout {
  const last = wordsOf(face)
  if (page === 0) return nowLayout(face, last)
  const lines = page === 1 ? trafficLines(face) : ledgerLines(face)
  lines.push('', last)
  return { large: '', mood: -1, lines: lines, alarm: face.fault }
}

/** Watts, large; energy of today; uptime; the creature. */
function nowLayout(face: Face, last: string): Layout {
  const watts = face.milliW < 0 ? '--.-' : fixed(face.milliW, 1000, 1)
  const lines = ['', '', '']
  lines.push('today ' + fixed(face.todayMicroWh, 1000000000, 3) + ' kWh')
  lines.push('up ' + duration(face.uptimeS))
  lines.push('in ' + bytes(face.wanInBytes) + ' out ' + bytes(face.wanOutBytes))
  lines.push('', last)
  return { large: watts + ' W', mood: moodOf(face), lines: lines, alarm: face.fault }
}

function trafficLines(face: Face): string[] {
  const lines = ['claimed by the node', '']
  lines.push('in    ' + bytes(face.wanInBytes))
  lines.push('out   ' + bytes(face.wanOutBytes))
  lines.push('disk  ' + bytes(face.diskUsedBytes))
  lines.push('asked ' + face.probesMade + ' got ' + face.probesAnswered)
  return lines
}

function ledgerLines(face: Face): string[] {
  const lines = ['commons ledger', '']
  lines.push('heard   ' + (face.ackedAgoS < 0 ? 'never' : duration(face.ackedAgoS) + ' ago'))
  lines.push('waiting ' + face.waiting)
  lines.push('time    ' + (face.unixS > 0 ? timeOfDay(face.unixS) : 'unknown'))
  lines.push('id ' + face.meterId)
  return lines
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

/**
 * Line `row` of a layout: eight points high, 128 bytes, bit 0 on top, as the chip has it. All eight
 * at once would be a kilobyte more of a small heap.
 */
export function drawRow(points: Buffer, layout: Layout, row: number): void {
  const isAlarm = layout.alarm && row === HEIGHT / 8 - 1
  for (let x = 0; x < WIDTH; x++) points[x] = isAlarm ? 0xff : 0x00
  text(points, layout.lines[row].slice(0, 21), isAlarm)
  if (row > 1) return
  large(points, layout.large, row)
  if (layout.mood >= 0) creature(points, CREATURE_X, layout.mood, row)
}

function text(points: Buffer, line: string, inverse: boolean): void {
  for (let i = 0; i < line.length; i++) {
    const left = i * CELL
    if (left + 5 > WIDTH) return
    for (let column = 0; column < 5; column++) {
      const bits = glyphColumn(line.charCodeAt(i), column)
      points[left + column] = inverse ? 255 - bits : bits
    }
  }
}

/** The upper or the lower half of text of double size. */
function large(points: Buffer, line: string, half: number): void {
  for (let i = 0; i < line.length; i++)
    for (let column = 0; column < 5; column++) {
      const tall = doubled(glyphColumn(line.charCodeAt(i), column))
      const left = (i * CELL + column) * 2
      if (left + 1 >= WIDTH) return
      points[left] = half === 0 ? tall % 256 : Math.floor(tall / 256)
      points[left + 1] = points[left]
    }
}

/** Each of eight bits twice. */
function doubled(bits: number): number {
  let wide = 0
  for (let i = 7; i >= 0; i--) wide = wide * 4 + (Math.floor(bits / POWERS[i]) % 2) * 3
  return wide
}

const POWERS = [1, 2, 4, 8, 16, 32, 64, 128]

/** The upper or the lower half of the creature: 18 columns of 16 points; body, then a face by mood. */
function creature(points: Buffer, x: number, mood: number, half: number): void {
  const rows = CREATURE[mood]
  for (let y = half * 8; y < half * 8 + 8 && y < rows.length; y++)
    for (let column = 0; column < rows[y].length; column++)
      if (rows[y].charCodeAt(column) === 35) {
        const at = x + column
        points[at] = points[at] | POWERS[y % 8]
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
  /** Ends a slice of work: the machine bounds the steps between two. */
  private pause: () => Promise<void>
  /** Whether it is known what the chip shows: not until it was set up. */
  private known = false
  /** The digest of each line that it shows. */
  private shown = [0, 0, 0, 0, 0, 0, 0, 0]
  private row = Buffer.alloc(WIDTH)

  constructor(bus: Bus, pause: () => Promise<void>) {
    this.bus = bus
    this.pause = pause
  }

  /** Shows `layout`, sending the lines that changed. Throws if the chip is absent. */
  async show(layout: Layout): Promise<void> {
    const { row, shown, known } = this
    // Until all of it has arrived nothing is known of what the chip shows.
    this.known = false
    if (!known) await this.command(SETUP)
    for (let page = 0; page < HEIGHT / 8; page++) {
      drawRow(row, layout, page)
      const digest = digestOf(row)
      await this.pause()
      if (known && digest === shown[page]) continue
      await this.command([SET_COLUMNS, 0, WIDTH - 1, SET_PAGES, page, page])
      const packet = Buffer.alloc(1 + WIDTH)
      packet[0] = DATA
      packet.set(row, 1)
      await this.bus.transfer(ADDRESS, packet, 0)
      shown[page] = digest
    }
    this.known = true
  }

  private async command(codes: number[]): Promise<void> {
    const packet = Buffer.alloc(1 + codes.length)
    packet[0] = COMMAND
    for (let i = 0; i < codes.length; i++) packet[1 + i] = codes[i]
    await this.bus.transfer(ADDRESS, packet, 0)
  }
}

/**
 * 24 bits of a line's points, of which no product leaves 31. The points themselves would take a
 * kilobyte of a small heap, and a layout kept would break it up. Of two lines that differ in one
 * column it is never the same; of others once in sixteen million times, and the next change mends that.
 */
function digestOf(row: Buffer): number {
  let digest = 0
  for (let x = 0; x < WIDTH; x++) digest = (digest * 127 + row[x]) & 0xffffff
  return digest
}
