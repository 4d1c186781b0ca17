// The meter's arithmetic in the meter's own machine: the same vector files as on Node, and what
// strangers may send. Programs are built, run once, and print what they found; what they print is
// compared here.
import test from 'ava';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVirtualMeter } from '../../provisioner/virtual/meter.ts';
import { buildProgram, runProgram } from '../helpers/devs.ts';
import { verifyLms } from '../helpers/lms-verify.ts';

const wire = read('wire.json') as {
  payloads: { name: string; hex: string }[];
  refused: { name: string; hex: string; code: string }[];
};
const lms = read('lms.json') as { cases: { name: string; [key: string]: string }[] };
const secrets = read('lms-secrets.json') as { secrets: { case: string; [key: string]: unknown }[] };
/** SHA-256, n = 24: the meter's own hash and node size, at a tree that grows in a second. */
const RFC_9858_A1 = 'RFC 9858 A.1 (SHA-256/192)';

const PROGRAM = `
import { growSubtree, hssPublicKey, hssSign, parameterSet } from './lms'
import { openJournal } from './journal'
import { openRing } from './ring'
import { hashInto, pause } from './edge'
import { FIELDS, decodePayload, emptyRecord, encodePayload } from './wire'
import { parseCounters } from './probe'
import { INVALID, PAYLOADS, SECRET } from './vectors'

async function main() {
  await payloads()
  await signatures()
  await memory()
  console.log('end')
}

async function payloads() {
  const out = { bytes: Buffer.alloc(4096), at: 0 }
  for (let i = 0; i < PAYLOADS.length; i++) {
    out.at = 0
    encodePayload(out, decodePayload(Buffer.from(PAYLOADS[i], 'hex')))
    const back = out.bytes.slice(0, out.at).toString('hex')
    console.log('payload ' + i + ' ' + (back === PAYLOADS[i] ? 'same' : 'differs'))
    await pause()
  }
  for (let i = 0; i < INVALID.length; i++) {
    let code = 'none'
    try {
      decodePayload(Buffer.from(INVALID[i], 'hex'))
    } catch (error) {
      code = (error as any).code
    }
    console.log('refused ' + i + ' ' + code)
    await pause()
  }
}

async function signatures() {
  const set = parameterSet(SECRET.lmsType, SECRET.otsType)
  const secret = { set: set, I: Buffer.from(SECRET.I, 'hex'), seed: Buffer.from(SECRET.seed, 'hex') }
  const alloc = (size: number) => Buffer.alloc(size)
  const rt = { hash: hashInto, alloc: alloc, ends: alloc, pause: pause }
  const subtree = (await growSubtree(rt, secret, 0)) as Buffer
  const top = subtree.slice(set.n, 2 * set.n)
  console.log('key ' + (hssPublicKey(rt, secret, top) as Buffer).toString('hex'))
  const parts = { q: SECRET.q, C: Buffer.from(SECRET.C, 'hex'), subtree: subtree, upper: Buffer.alloc(0) }
  const message = Buffer.from(SECRET.message, 'hex')
  print('signature', (await hssSign(rt, secret, message, parts)) as Buffer[])
  const own = { set: parameterSet(0x0a, 0x07), I: secret.I, seed: secret.seed }
  const leaves = (await growSubtree(rt, own, 0)) as Buffer
  const root = leaves.slice(24, 48)
  console.log('own-key ' + (hssPublicKey(rt, own, root) as Buffer).toString('hex'))
  const mine = { q: 31, C: Buffer.alloc(24), subtree: leaves, upper: Buffer.alloc(0) }
  print('own-signature', (await hssSign(rt, own, message, mine)) as Buffer[])
}

function print(name: string, pieces: Buffer[]) {
  for (let i = 0; i < pieces.length; i++) {
    const digits = pieces[i].toString('hex')
    for (let at = 0; at < digits.length; at += 200) console.log(name + ' ' + digits.slice(at, at + 200))
  }
}

async function memory() {
  const bytes = Buffer.alloc(14336)
  const read = async (address: number, length: number) => bytes.slice(address, address + length)
  const write = async (address: number, part: Buffer) => bytes.set(part, address)
  const readSure = async (address: number, first: Buffer) => {
    await pause()
    return first
  }
  const store = { read: read, readSure: readSure, write: write }
  const journal = await openJournal(store)
  await journal.begin(32768)
  await journal.keys.keepKey({ number: 1, height: 5, I: Buffer.alloc(16), seed: Buffer.alloc(24) })
  await journal.keys.takeSignature(1)
  const parts = { store: store, pause: pause, wait: pause }
  const place = { start: 0x1800, pageBytes: 512, pages: 6 }
  const ring = await openRing(parts, place)
  for (let seq = 1; seq <= 700; seq++) {
    const record = emptyRecord()
    record.firstSeq = seq
    record.lastSeq = seq
    record.energyMicroWh = seq * 1000003
    record.maxMilliW = (seq * 31) % 900
    await ring.append(record, { throughSeq: 0, batchLastSeq: 0 })
    await pause()
  }
  const again = await openRing(parts, place)
  let next = 1
  let count = 0
  while (next <= again.lastSeq) {
    const records = await again.readFrom(next, 20)
    if (records.length === 0 || records[0].firstSeq !== next) break
    const last = records[records.length - 1]
    if (last.energyMicroWh !== last.lastSeq * 1000003) break
    next = last.lastSeq + 1
    count += records.length
  }
  const reopened = await openJournal(store)
  await reopened.begin(32768)
  console.log('ring ' + (next - 1) + ' merged ' + (count < 700))
  console.log('journal boot ' + reopened.bootId + ' next ' + reopened.keys.nextSignature)
  const json = '{"v":1,"boot":"00112233445566778899aabbccddeeff","wan_in_bytes":2251799813685247,' +
    '"wan_out_bytes":0,"disk_used_bytes":5}'
  console.log('claims ' + (parseCounters(Buffer.from(json)).wanInBytes === 2251799813685247))
  console.log('fields ' + FIELDS.length)
}

await main()
`;

/** What takes the most machine steps that a stranger can ask for between two awaits. */
const STRANGERS = `
import { pause } from './edge'
import { Http } from './http'
import { parseCounters } from './probe'
import { Reporter } from './report'
import type { NextKey } from './report'
import { FIELDS, emptyRecord } from './wire'

async function main() {
  await heads()
  await claims()
  await reports()
  console.log('end')
}

function times(text: string, count: number) {
  let all = ''
  for (let i = 0; i < count; i++) all += text
  return all
}

function serving(answer: Buffer) {
  const chunks = [answer]
  const connection = {
    send: async (bytes: Buffer) => {},
    receive: async (ms: number) => (chunks.length > 0 ? chunks.shift() : null),
    close: async () => {},
  }
  const connect = async (host: string, port: number, tls: boolean, ms: number) => connection
  return new Http({ connect: connect, millis: () => 0, pause: pause })
}

async function heads() {
  const fillings = ['a:b\\r\\n', 'transfer-encodinG:\\r\\n', '${'x'.repeat(1900)}:\\r\\n', '\\n', ':', ' ']
  for (let i = 0; i < fillings.length; i++) {
    await pause()
    const length = 'Content-Length:' + (i === 5 ? times(' ', 1900) : '') + '2\\r\\n'
    const many = i === 5 ? 0 : Math.floor(1900 / fillings[i].length)
    await pause()
    const head = 'HTTP/1.1 200 OK\\r\\n' + times(fillings[i], many) + length + '\\r\\nok'
    await pause()
    const http = serving(Buffer.from(head))
    const ask = { method: 'GET', url: 'http://a/', headers: [] as string[], body: null as Buffer[], timeoutMs: 9, maxBodyBytes: 9 }
    try {
      console.log('head ' + i + ' ' + (await http.request(ask)).status)
    } catch (error) {
      console.log('head ' + i + ' ' + (error as Error).message)
    }
  }
}

async function claims() {
  const bodies = ['{"v":${' '.repeat(900)}1}', '{"${'x'.repeat(900)}":1}', '${'{"a":'.repeat(180)}']
  for (let i = 0; i < bodies.length; i++) {
    await pause()
    console.log('claims ' + i + ' ' + (parseCounters(Buffer.from(bodies[i])) === null))
  }
}

function wild(i: number) {
  const record = emptyRecord()
  FIELDS.forEach(rule => {
    record[rule.name] = i % 2 === 0 ? 2251799813685247 : i
  })
  record.firstSeq = 2 * i + 2
  record.lastSeq = record.firstSeq
  return record
}

async function reports() {
  const store: any = {
    link: { lastHash: null, nextSeq: 1, entryIndex: 0, ackedUnixS: 0 },
    outstanding: null,
    keepBatch: async (batch: any, about: any) => {
      console.log('batch ' + about.lastSeq)
      store.outstanding = about
    },
    readBatch: async (isWhole: any) => [Buffer.alloc(1)],
  }
  const parts: any = {
    store: store,
    eachRecord: async (fromSeq: number, take: (record: any) => boolean) => {
      let i = 0
      while (take(wild(i))) {
        i++
        await pause()
      }
    },
    sign: async (message: Buffer) => [Buffer.alloc(752), Buffer.alloc(752)],
    successor: (): NextKey | null => null,
    scratch: Buffer.alloc(1000),
    urls: (): string[] => [],
    adopt: async () => {},
    digest: (bytes: Buffer) => Buffer.alloc(32),
    pause: pause,
  }
  const hash = Buffer.alloc(32)
  const about = { meterId: Buffer.alloc(8), origin: 'o', pairKey: hash, firmwareHash: hash }
  console.log('attempt ' + (await new Reporter(parts, about).attempt()))
}

await main()
`;

test.serial('nothing that strangers send takes more steps than there are', async (t) => {
  const lines = await runProgram(await buildProgram({ 'main.ts': STRANGERS }));
  const said = (name: string) =>
    lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
  t.deepEqual(said('head'), [
    '0 200', '1 http: expected a Content-Length', '2 200', '3 http: bad header',
    '4 http: bad header', '5 200',
  ]);
  t.deepEqual(said('claims'), ['0 true', '1 true', '2 true']);
  t.is(said('batch').length, 1);
  t.is(said('attempt')[0], '5');
});

const ADDRESSES = `
import { joinNetwork, ownAddress } from './edge'
import * as ds from '@devicescript/core'

async function main() {
  for (;;) {
    const address = await ownAddress()
    console.log('address ' + (address === null ? 'none' : address.toString('hex')))
    if (address !== null) await joinNetwork('Café', 'open sesame')
    await ds.sleep(500)
  }
}

await main()
`;

test.serial('the radio tells the meter’s address, and is told a network', async (t) => {
  const bytecode = await buildProgram({ 'main.ts': ADDRESSES });
  const dir = mkdtempSync(join(tmpdir(), 'meter-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  let address = Buffer.alloc(0);
  const named: string[] = [];
  const meter = createVirtualMeter({
    bytecode, dir, load: () => 2700,
    radio: { address: () => address, named: (...words) => void named.push(words.join('/')) },
    clock: { startMs: Date.parse('2027-01-01T00:00:00Z'), realStartMs: Date.now(), rate: Infinity },
    onPanic: (code) => t.fail(`panic ${code}`),
    onFailed: (error) => t.fail(error.message),
  });
  t.teardown(meter.stop);
  const heard = (wanted: string): Promise<void> =>
    new Promise((resolve) => void meter.onLine((line) => line === `address ${wanted}` && resolve()));
  const none = heard('none');
  meter.powerOn();
  await none;
  address = Buffer.of(192, 168, 1, 44);
  await heard('c0a8012c');
  address = Buffer.alloc(0);
  await heard('none');
  t.is(named[0], 'Café/open sesame');
});

test.serial('the vectors come out in the machine as on Node', async (t) => {
  const a1 = lms.cases.find(({ name }) => name === RFC_9858_A1);
  const secret = secrets.secrets.find((one) => one.case === RFC_9858_A1);
  if (!a1 || !secret) return t.fail('no RFC 9858 A.1');
  const C = a1.signature.slice(2 * 12, 2 * (12 + 24));
  const vectors = [
    `export const PAYLOADS: string[] = ${JSON.stringify(wire.payloads.map(({ hex }) => hex))}`,
    `export const INVALID: string[] = ${JSON.stringify(wire.refused.map(({ hex }) => hex))}`,
    `export const SECRET = ${JSON.stringify({ ...secret, C, message: a1.message })}`,
  ].join('\n');
  const lines = await runProgram(
    await buildProgram({ 'main.ts': PROGRAM, 'vectors.ts': vectors }),
  );
  const said = (name: string) =>
    lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

  t.deepEqual(said('payload'), wire.payloads.map((_, i) => `${i} same`));
  t.deepEqual(said('refused'), wire.refused.map(({ code }, i) => `${i} ${code}`));
  t.is(said('key')[0], a1.publicKey);
  t.is(said('signature').join(''), a1.signature);
  const key = Buffer.from(said('own-key')[0], 'hex').subarray(4);
  const own = Buffer.from(said('own-signature').join(''), 'hex').subarray(4);
  t.true(verifyLms(key, Buffer.from(a1.message, 'hex'), own));
  t.is(said('ring')[0], '700 merged true');
  t.is(said('journal')[0], 'boot 2 next 1');
  t.is(said('claims')[0], 'true');
});

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'));
}
