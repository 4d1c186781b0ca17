// A small HTTP/1.1 client (RFC 9112): one request, one response, then the connection is closed. For
// answers of known length only: no chunks, no redirects, no cookies.
//
// Owns the bytes of a request and a response. It never trusts a length it was told beyond the bound
// that the caller gives, and never waits longer than the caller says: a server that dribbles is as
// dead as a silent one. One request at a time: the meter has one socket.

/**
 * A byte stream to a server. `receive` gives undefined after `timeoutMs`, null once it is closed.
 */
export interface Connection {
  send(bytes: Buffer): Promise<void>
  receive(timeoutMs: number): Promise<Buffer | null | undefined>
  close(): Promise<void>
}

export interface HttpParts {
  connect(host: string, port: number, tls: boolean, timeoutMs: number): Promise<Connection>
  millis(): number
  /** Lets other fibers run; awaited while another request is under way. */
  pause(): Promise<void>
}

export interface Request {
  method: string
  /** http or https, host, optional port, path. */
  url: string
  /** Whole lines, without their ends. */
  headers: string[]
  /** One after the other; null: none. */
  body: Buffer[] | null
  /** From the first byte to the last. */
  timeoutMs: number
  maxBodyBytes: number
}

export interface Response {
  status: number
  body: Buffer
  /** When the request's first byte was sent. */
  sentMs: number
}

/** Status line and headers: nginx and the ledger send about 300 bytes. */
const MAX_HEAD_BYTES = 2048
/** "transfer-encoding". */
const LONGEST_NAME = 17
const LF = 10
const CR = 13
const COLON = 58

export class Http {
  private parts: HttpParts
  private busy = false

  constructor(parts: HttpParts) {
    this.parts = parts
  }

  /** The response; throws if none came whole within the time and the bounds. */
  async request(request: Request): Promise<Response> {
    while (this.busy) await this.parts.pause()
    this.busy = true
    let connection: Connection | null = null
    try {
      const target = parseUrl(request.url)
      const startMs = this.parts.millis()
      const endMs = startMs + request.timeoutMs
      connection = await this.connected(target, request.timeoutMs)
      const sentMs = this.parts.millis()
      await connection.send(headOf(request, target))
      const pieces = request.body === null ? [] : request.body
      for (let i = 0; i < pieces.length; i++) await connection.send(pieces[i])
      return await this.receive(connection, request, sentMs, endMs)
    } finally {
      if (connection !== null) await closeQuietly(connection)
      this.busy = false
    }
  }

  private async connected(target: Target, timeoutMs: number): Promise<Connection> {
    try {
      return await this.parts.connect(target.host, target.port, target.tls, timeoutMs)
    } catch (error) {
      throw new Error('connect: ' + (error as Error).message)
    }
  }

  private async receive(
    connection: Connection,
    request: Request,
    sentMs: number,
    endMs: number,
  ): Promise<Response> {
    let bytes: Buffer = Buffer.alloc(0)
    let bodyAt = 0
    let head: Head | null = null
    for (;;) {
      if (head === null) {
        bodyAt = endOfHead(bytes)
        await this.parts.pause()
        if (bodyAt > 0) head = parseHead(bytes, bodyAt)
        else if (bytes.length > MAX_HEAD_BYTES) throw new Error('http: head too long')
        if (head !== null && head.lengthBytes > request.maxBodyBytes)
          throw new Error('http: expected at most ' + request.maxBodyBytes + ' bytes')
      }
      if (head !== null && bytes.length >= bodyAt + head.lengthBytes) {
        const body = bytes.slice(bodyAt, bodyAt + head.lengthBytes)
        return { status: head.status, body, sentMs }
      }
      const left = endMs - this.parts.millis()
      const more = left > 0 ? await connection.receive(left) : undefined
      if (more === undefined) throw new Error('http: time is up')
      if (more === null) throw new Error(bytes.length > 0 ? 'http: closed early' : 'http: no answer')
      bytes = joined(bytes, more)
    }
  }
}

export interface Target {
  tls: boolean
  host: string
  port: number
  path: string
}

/** Throws unless `url` is http(s)://host[:port][/path] in printable ASCII without spaces. */
export function parseUrl(url: string): Target {
  const tls = url.startsWith('https://')
  if (!tls && !url.startsWith('http://')) throw new Error('url: expected http or https')
  for (let i = 0; i < url.length; i++)
    if (url.charCodeAt(i) <= 32 || url.charCodeAt(i) > 126) throw new Error('url: bad character')
  const rest = url.slice(tls ? 8 : 7)
  const slash = rest.indexOf('/')
  const authority = slash < 0 ? rest : rest.slice(0, slash)
  const colon = authority.indexOf(':')
  const host = colon < 0 ? authority : authority.slice(0, colon)
  let port = tls ? 443 : 80
  if (colon >= 0) port = parseDigits(authority.slice(colon + 1))
  if (host.length === 0 || port < 1 || port > 65535) throw new Error('url: no host or port')
  return { tls, host, port, path: slash < 0 ? '/' : rest.slice(slash) }
}

function headOf(request: Request, target: Target): Buffer {
  const usual = target.tls ? 443 : 80
  const port = target.port === usual ? '' : ':' + target.port
  let text = request.method + ' ' + target.path + ' HTTP/1.1\r\n'
  text += 'Host: ' + target.host + port + '\r\nConnection: close\r\n'
  request.headers.forEach(line => {
    text += line + '\r\n'
  })
  if (request.body !== null) {
    let lengthBytes = 0
    request.body.forEach(piece => {
      lengthBytes += piece.length
    })
    text += 'Content-Length: ' + lengthBytes + '\r\n'
  }
  return Buffer.from(text + '\r\n')
}

interface Head {
  status: number
  lengthBytes: number
}

/** Where the body begins; 0 while the head's end is not there. */
function endOfHead(bytes: Buffer): number {
  let at = bytes.indexOf(LF)
  while (at >= 0 && at < MAX_HEAD_BYTES) {
    if (at >= 3 && bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR)
      return at + 1
    at = bytes.indexOf(LF, at + 1)
  }
  return 0
}

/**
 * The head, which ends before `end`. Only what matters becomes text: two thousand characters, one
 * by one, are more machine steps than there may be at once, and whoever answers chooses how many.
 */
function parseHead(bytes: Buffer, end: number): Head {
  const statusLine = textOf(bytes, 0, Math.min(12, end))
  if (!statusLine.startsWith('HTTP/1.') || statusLine.charAt(8) !== ' ')
    throw new Error('http: no status line')
  const status = parseDigits(statusLine.slice(9))
  let lengthBytes = -1
  let at = bytes.indexOf(LF) + 1
  while (at < end - 2) {
    const next = bytes.indexOf(LF, at) + 1
    const colon = bytes.indexOf(COLON, at)
    if (colon <= at || colon >= next || bytes[next - 2] !== CR)
      throw new Error('http: bad header')
    const name = colon - at <= LONGEST_NAME ? textOf(bytes, at, colon).toLowerCase() : ''
    if (name === 'transfer-encoding') throw new Error('http: expected a Content-Length')
    if (name === 'content-length') {
      const length = parseDigits(textOf(bytes, colon + 1, next - 2).trim())
      if (lengthBytes >= 0 && lengthBytes !== length) throw new Error('http: two lengths')
      lengthBytes = length
    }
    at = next
  }
  if (lengthBytes < 0) throw new Error('http: expected a Content-Length')
  return { status, lengthBytes }
}

function parseDigits(text: string): number {
  if (text.length < 1 || text.length > 9) throw new Error('http: bad number')
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) throw new Error('http: bad number')
    value = value * 10 + digit
  }
  return value
}

/** ASCII; any other byte is a question mark. */
function textOf(bytes: Buffer, start: number, end: number): string {
  let text = ''
  for (let i = start; i < end; i++)
    text += String.fromCharCode(bytes[i] < 128 ? bytes[i] : 63)
  return text
}

function joined(a: Buffer, b: Buffer): Buffer {
  const both = Buffer.alloc(a.length + b.length)
  both.set(a, 0)
  both.set(b, a.length)
  return both
}

/** The response is in hand, or an error is on its way: how the closing went changes neither. */
async function closeQuietly(connection: Connection): Promise<void> {
  try {
    await connection.close()
  } catch (error) {
    return
  }
}
