// Asks the node for its counters: an answer is at once the proof that it is up and what it claims
// of its traffic. Reads the node's JSON strictly: numbers exactly, nothing beyond what is named
// here.
//
// Owns that format (see docs/meter.md). It keeps nothing and never decides when to ask.
import { FLAG } from './wire.js'

export interface NodeCounters {
  /** The node's boot id: 16 bytes. */
  boot: Buffer
  wanInBytes: number
  wanOutBytes: number
  diskUsedBytes: number
  /** What it calls itself; empty if it does not say. */
  host: string
}

/** What a probe found; counters are null if the answer was no 200, or not as expected. */
export interface Probe {
  answered: boolean
  counters: NodeCounters | null
  /** The flag that says what was wrong; 0 if nothing was. */
  why: number
}

export interface ProbeParts {
  /** The body of a 200 answer; null if another status came; throws if nothing did. */
  get(url: string): Promise<Buffer | null>
  millis(): number
}

/** Where a node serves its counters, unless its name says another port. */
const PORT = ':8010'
/** 2^51: what a record's amounts stay below. */
const TOO_LARGE = 2251799813685248

/** A closed port says so at once; a host that is not there is looked for longer. */
const REFUSED_WITHIN_MS = 1000

/**
 * One probe of `node`: a name or an address, and a port if it is not the usual one. Where `isOurs` is
 * given, who does not answer with counters and such a name is another.
 */
export async function probe(
  parts: ProbeParts,
  node: string,
  isOurs?: (host: string) => boolean,
): Promise<Probe> {
  const startMs = parts.millis()
  let body: Buffer | null = null
  try {
    body = await parts.get('http://' + node + (node.indexOf(':') < 0 ? PORT : '') + '/counters')
  } catch (error) {
    const why = reasonOf((error as Error).message, parts.millis() - startMs)
    return { answered: false, counters: null, why }
  }
  if (body === null) return { answered: false, counters: null, why: FLAG.wrongAnswer }
  const counters = parseCounters(body)
  if (isOurs && (counters === null || !isOurs(counters.host)))
    return { answered: false, counters: null, why: FLAG.noRoute }
  return { answered: true, counters, why: counters === null ? FLAG.wrongAnswer : 0 }
}

/**
 * Why a request failed, by what http.ts says of it. On a board the runtime tells a name that leads
 * nowhere, a time-out, and "can't connect" for all else: there time must tell a closed port from a
 * host that is not there. The machine on a computer gives the system's own words.
 */
export function reasonOf(message: string, afterMs: number): number {
  if (!message.startsWith('connect: '))
    return isOver(message) ? FLAG.hung : FLAG.wrongAnswer
  if (has(message, 'refused') || has(message, 'REFUSED')) return FLAG.refused
  if (has(message, 'resolve') || has(message, 'route') || has(message, 'UNREACH')) return FLAG.noRoute
  if (has(message, 'NOTFOUND') || has(message, 'Timeout')) return FLAG.noRoute
  return afterMs < REFUSED_WITHIN_MS ? FLAG.refused : FLAG.noRoute
}

function isOver(message: string): boolean {
  return message === 'http: time is up' || message === 'http: no answer'
}

function has(message: string, part: string): boolean {
  return message.indexOf(part) >= 0
}

/**
 * The counters in `body`, null if it is anything but one flat JSON object of version 1 with the
 * members needed: integers without exponent or fraction, strings without escapes, or null.
 */
export function parseCounters(body: Buffer): NodeCounters | null {
  const members = parseFlat(body)
  if (members === null || members.v !== 1) return null
  const boot = bootBytes(members.boot)
  const wanInBytes = amount(members.wan_in_bytes)
  const wanOutBytes = amount(members.wan_out_bytes)
  const diskUsedBytes = amount(members.disk_used_bytes)
  if (boot === null || wanInBytes < 0 || wanOutBytes < 0 || diskUsedBytes < 0) return null
  const host = typeof members.host === 'string' ? members.host : ''
  return { boot, wanInBytes, wanOutBytes, diskUsedBytes, host }
}

type Member = number | string | null | undefined

/** The members that the meter reads; others are passed over. */
interface Answer {
  v?: Member
  boot?: Member
  wan_in_bytes?: Member
  wan_out_bytes?: Member
  disk_used_bytes?: Member
  host?: Member
}

function amount(member: Member): number {
  return typeof member === 'number' && member >= 0 && member < TOO_LARGE ? member : -1
}

function bootBytes(member: Member): Buffer | null {
  if (typeof member !== 'string' || member.length !== 32) return null
  const bytes = Buffer.alloc(16)
  for (let i = 0; i < 16; i++) {
    const high = hexDigit(member.charCodeAt(2 * i))
    const low = hexDigit(member.charCodeAt(2 * i + 1))
    if (high < 0 || low < 0) return null
    bytes[i] = high * 16 + low
  }
  return bytes
}

/** Most members that an answer may have: later versions may say more. */
const MAX_MEMBERS = 24
const QUOTE = 34

interface Text {
  bytes: Buffer
  at: number
}

function parseFlat(bytes: Buffer): Answer | null {
  const text = { bytes, at: 0 }
  const members: Answer = {}
  if (!take(text, 123)) return null
  for (let count = 0; count < MAX_MEMBERS; count++) {
    const name = takeString(text)
    if (name === null || !take(text, 58)) return null
    const value = takeValue(text)
    if (value === undefined) return null
    members[name as keyof Answer] = value
    if (take(text, 44)) continue
    if (!take(text, 125)) return null
    skipSpace(text)
    return text.at === bytes.length ? members : null
  }
  return null
}

/** Whether the next character is `code`; it is taken then. */
function take(text: Text, code: number): boolean {
  skipSpace(text)
  if (text.at >= text.bytes.length || text.bytes[text.at] !== code) return false
  text.at++
  return true
}

function skipSpace(text: Text): void {
  while (text.at < text.bytes.length && isSpace(text.bytes[text.at])) text.at++
}

function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9
}

function takeString(text: Text): string | null {
  if (!take(text, QUOTE)) return null
  let value = ''
  while (text.at < text.bytes.length) {
    const code = text.bytes[text.at]
    text.at++
    if (code === QUOTE) return value
    if (code < 32 || code > 126 || code === 92) return null
    value += String.fromCharCode(code)
  }
  return null
}

/** A number, a string or null; undefined for anything else. */
function takeValue(text: Text): Member {
  skipSpace(text)
  if (text.bytes[text.at] === QUOTE) {
    const value = takeString(text)
    return value === null ? undefined : value
  }
  if (take(text, 110)) {
    if (take(text, 117) && take(text, 108) && take(text, 108)) return null
    return undefined
  }
  const negative = take(text, 45)
  let digits = 0
  let value = 0
  while (text.at < text.bytes.length && digits <= 16) {
    const digit = text.bytes[text.at] - 48
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
    digits++
    text.at++
  }
  if (digits < 1 || digits > 16) return undefined
  return negative ? -value : value
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  if (code >= 97 && code <= 102) return code - 87
  return -1
}
