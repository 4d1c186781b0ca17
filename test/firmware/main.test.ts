// The whole meter: its bytecode in its machine, on chips that survive power cuts, a node that
// serves counters, and a small ledger that verifies everything.
import test, { type ExecutionContext } from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildFirmware } from '../../provisioner/meter/build.ts';
import { FRAM_BYTES, LARGE_FRAM_BYTES } from '../../provisioner/virtual/fram.ts';
import { createVirtualMeter, type VirtualMeter } from '../../provisioner/virtual/meter.ts';
import { openTestLedger, type TestLedger } from '../helpers/ledger.ts';
import { createLoneMeter } from '../helpers/lone-meter.ts';
import { startCounted } from '../speed/meter-machine.ts';
import { runDay } from './day/day.ts';

const { FLAG } = await import('../../firmware/wire.ts');
const ORIGIN = 'ledger.test/commons';
const PAIR_KEY = Buffer.alloc(32, 0x5a);
const CUTS = 6;
/** From power to the first reading that is kept, where a transfer takes 20 ms. */
const START_S = 6;
/** The load's most: 3,697 mW. */
const MICRO_WH_A_SECOND = 3697 / 3.6;
const START_MS = 1_795_000_000_000;
/** By which a blink may be longer or shorter: other fibers have their turn too. */
const LATE_MS = 60;

interface Scene {
  meter: VirtualMeter;
  ledger: TestLedger;
  lines: string[];
  /** How long its light was lit, then dark, then lit …, ms; each once it was over. */
  blinks: Blink[];
  /** What the node has counted and served last. */
  node: { up: boolean; flaps: boolean; bytes: number; served: number };
  /** Resolves when `holds` does, looked at whenever the meter prints, posts, asks or blinks. */
  until(what: string, holds: () => boolean): Promise<void>;
  statement(): Buffer;
  powerOn(): void;
  /** When the power came on last, by the meter's clock. */
  bootMs(): number;
}

interface Blink {
  lit: boolean;
  ms: number;
}

interface Waiting {
  what: string;
  holds: () => boolean;
  done: () => void;
  fail: (error: Error) => void;
}

test.serial('paired, enrolled, accepted: energy and bytes are the truth', async (t) => {
  const { meter, ledger, node, until, statement, lines, bootMs } = await openScene(t);
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  const accepted = () => ledger.posted.filter(({ answer }) => answer === 'accepted');
  await until('two batches', () => accepted().length >= 2);
  const posted = accepted();
  t.is(new Set(posted.map((p) => p.signature)).size, posted.length);
  const last = ledger.records[ledger.records.length - 1];
  const truth = meter.truth().energyMicroWhAt(bootMs() + last.uptimeS * 1000);
  t.true(Math.abs(last.energyMicroWh - truth) <= truth / 10_000 + MICRO_WH_A_SECOND);
  t.is(last.upS + last.downS + last.unknownS, last.uptimeS);
  t.true(last.wanInBytes > 0 && last.wanInBytes <= node.served);
  t.true(last.probesAnswered > 0);
  t.is(ledger.records[0].timeState, 0);
  t.is(last.timeState, 2);
  t.true(Math.abs(last.unixS * 1000 - meter.nowMs()) < 60_000, `${last.unixS}`);
  t.false(lines.some((line) => line.startsWith('fault')), lines.join('\n'));
});

test.serial('silence, forgery, then a power cut: the same bytes are sent again', async (t) => {
  const { meter, ledger, until, statement, powerOn } = await openScene(t);
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  ledger.plan = ['silence', 'forged', 'silence'];
  await until('three posts', () => ledger.posted.length >= 3);
  t.deepEqual(new Set(ledger.posted.map((p) => p.batch.toString('hex'))).size, 1);
  t.is(new Set(ledger.posted.map((p) => p.nonce)).size, ledger.posted.length);
  await meter.cutPower();
  const before = ledger.posted.length;
  ledger.plan = ['truth'];
  powerOn();
  await until('accepted', () => ledger.posted.some((p) => p.answer === 'accepted'));
  t.deepEqual(ledger.posted[before].batch, ledger.posted[0].batch);
  t.is(ledger.posted[before].answer, 'accepted');
});

test.serial('cut at many bytes of its writes: no gap, no repeated index, counters rise', async (t) => {
  const { meter, ledger, until, statement, lines, bootMs, powerOn } = await openScene(t);
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  for (let cut = 0; cut < CUTS; cut++) {
    const seen = ledger.posted.length;
    await until('another post', () => ledger.posted.length > seen);
    await meter.cutAfterWrittenBytes(1 + cut * 593);
    powerOn();
  }
  const seen = ledger.posted.length;
  await until('a last acceptance', () =>
    ledger.posted.slice(seen).filter((p) => p.answer === 'accepted').length >= 2);
  t.is(ledger.gaps, 0);
  let previous = ledger.records[0];
  for (const record of ledger.records.slice(1)) {
    t.is(record.firstSeq, previous.lastSeq + 1);
    t.true(record.energyMicroWh >= previous.energyMicroWh);
    t.true(record.upS >= previous.upS && record.downS >= previous.downS);
    t.true(record.unknownS >= previous.unknownS);
    t.true(record.wanInBytes >= previous.wanInBytes);
    t.true(record.bootId >= previous.bootId);
    previous = record;
  }
  t.is(previous.bootId, 1 + CUTS);
  // A record's seconds are whole, its energy is not; each cut may cost two seconds, and one that
  // tears the first reading's record after a start costs that start.
  const truth = meter.truth().energyMicroWhAt(bootMs() + previous.uptimeS * 1000);
  const lost = truth - previous.energyMicroWh;
  t.true(lost >= -MICRO_WH_A_SECOND && lost <= (2 * CUTS + 1 + START_S) * MICRO_WH_A_SECOND, `${lost} µWh`);
  t.false(lines.some((line) => line.startsWith('fault')), lines.join('\n'));
});

test.serial('a node that goes down is reported at once, and so is a long press', async (t) => {
  const { meter, ledger, node, until, statement } = await openScene(t, { batchS: 3600 });
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  node.up = false;
  await until('a report', () => ledger.records.some((record) => record.downS > 0));
  const reports = ledger.posted.length;
  meter.pressButton(1500);
  await until('another report', () => ledger.posted.length > reports);
  t.pass();
});

test.serial('the light: quick at a start, slow until the ledger was heard, a wink when all is well, quick for trouble', async (t) => {
  const { meter, node, ledger, blinks, until, statement } = await openScene(t, { batchS: 3600 });
  /** Its last few blinks are of this rhythm. */
  const shows = (litMs: number, darkMs: number, times: number) => (): boolean => {
    const last = blinks.slice(-2 * times);
    const isRight = ({ lit, ms }: Blink): boolean => Math.abs(ms - (lit ? litMs : darkMs)) <= LATE_MS;
    return last.length === 2 * times && last.every(isRight);
  };
  await until('the light is tried', shows(200, 200, 1));
  await until('enrolment', () => statement().length > 0);
  await until('slow', shows(1000, 1000, 3));
  ledger.enrol(statement());
  meter.pressButton(1500);
  await until('a wink', shows(200, 4800, 2));
  node.up = false;
  await until('quick', shows(200, 200, 5));
  node.up = true;
  await until('a wink again', shows(200, 4800, 2));
  t.pass();
});

for (const [framBytes, heapBytes] of [[FRAM_BYTES, 40_960], [LARGE_FRAM_BYTES, 43_008]]) {
  test.serial(`a memory of ${framBytes} bytes: comes up, keeps and reports in ${heapBytes} bytes of heap`, async (t) => {
    const { bytecode } = await buildFirmware();
    // Counted, not timed: the same on every machine.
    const meter = await startCounted(bytecode, { times: [5, 60, 30], framBytes, limits: { heapBytes } });
    await meter.until(() => meter.ledger.records.length > 24, 300);
    t.is(meter.ledger.gaps, 0);
    t.deepEqual(meter.lines.filter((line) => /^(boot|fault)/.test(line)), ['boot 1']);
    // On Node, the same memory is known for what it is, and goes on.
    const again = createLoneMeter({ seed: 1, image: meter.cells, timesS: [5, 60, 30] });
    again.powerOn();
    await again.run(30);
    t.is(again.meter()?.journal.sizeBytes, framBytes);
    t.true(again.lines.includes('boot 2'));
    t.true(again.meter()!.ring.lastSeq > meter.ledger.records.at(-1)!.lastSeq);
  });
}

test.serial('a node that comes and goes does not use up the key', async (t) => {
  const { ledger, node, until, statement } = await openScene(t, { batchS: 3600 });
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  node.flaps = true;
  await until('a report', () => ledger.posted.length > 0);
  const bytes = node.bytes;
  await until('twenty more answers', () => node.bytes >= bytes + 20 * 1234);
  t.is(new Set(ledger.posted.map(({ signature }) => signature)).size, 1);
});

test.serial('a ledger that takes nothing does not use up the key', async (t) => {
  const { ledger, node, until, statement } = await openScene(t);
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  ledger.plan = ['invalid'];
  await until('a refusal', () => ledger.posted.length > 0);
  const bytes = node.bytes;
  // 200 s: at least seven back-offs of a batch period.
  await until('forty more answers', () => node.bytes >= bytes + 40 * 1234);
  t.true(ledger.posted.length <= 5, `${ledger.posted.length}`);
});

test.serial('a sensor that is gone adds no energy, and the record says so', async (t) => {
  const { meter, ledger, until, statement } = await openScene(t);
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  await until('a record', () => ledger.records.length > 0);
  meter.setFault('sensor', 'gone');
  const isFaulty = ({ flags }: { flags: number }) => (flags & FLAG.sensorFault) !== 0;
  await until('a faulty record', () => ledger.records.some(isFaulty));
  meter.setFault('sensor', undefined);
  const faulty = ledger.records.length;
  await until('sound records', () =>
    ledger.records.slice(faulty).some(({ flags, meanMilliW }) => flags === 0 && meanMilliW > 2700),
  );
  t.pass();
});

test.serial('a key of 32 signatures is followed by one of 1,024, across power cuts', async (t) => {
  const { ledger, meter, lines, until, statement, powerOn } = await openScene(t);
  await until('enrolment', () => statement().length > 0);
  ledger.enrol(statement());
  await until('a batch', () => ledger.records.length > 0);
  for (const bytes of [700, 3_000]) {
    await meter.cutAfterWrittenBytes(bytes);
    powerOn();
  }
  await until('another key', () => ledger.keys.length === 2);
  const seen = ledger.posted.length;
  await until('two batches by it', () =>
    ledger.posted.slice(seen).filter(({ answer }) => answer === 'accepted').length >= 2);
  t.is(ledger.keys[1].readUInt32BE(4), 0x0b);
  t.true(ledger.posted.slice(seen).every(({ answer }) => answer !== 'invalid'));
  const signed = new Map(ledger.posted.map(({ batch, signature }) => [batch.toString('hex'), signature]));
  t.is(new Set(signed.values()).size, signed.size);
  t.is(ledger.gaps, 0);
  t.false(lines.some((line) => line.startsWith('fault')), lines.join('\n'));
});

test.serial('an hour with power cuts and a sensor that is gone: all is the truth', async (t) => {
  t.timeout(10 * 60_000);
  const { problems, came, figures } = await runDay({ seed: 3, hours: 1 });
  t.log({ seed: 3, ...figures });
  t.deepEqual(problems, []);
  t.true(came['power cut at a byte'] > 0 && came['sensor gone'] > 0);
});

async function openScene(t: ExecutionContext, times: { batchS?: number } = {}): Promise<Scene> {
  const { bytecode } = await buildFirmware();
  const dir = mkdtempSync(join(tmpdir(), 'meter-'));
  const node = { up: true, flaps: false, bytes: 1000, served: 0 };
  const server = createServer((_, response) => {
    node.bytes += 1234;
    node.served = node.bytes;
    if (node.flaps) node.up = !node.up;
    const body = JSON.stringify({
      v: 1, boot: '00112233445566778899aabbccddeeff', wan_in_bytes: node.bytes, wan_out_bytes: 5,
      disk_used_bytes: 77, temperature_milli_c: null, users: 1, posts: 0,
    });
    response.writeHead(node.up ? 200 : 503, { 'Content-Length': body.length, Connection: 'close' });
    response.end(body);
    check();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const lines: string[] = [];
  const blinks: Blink[] = [];
  let changedMs = 0;
  const waiting: Waiting[] = [];
  const check = (): void => {
    for (const one of waiting.splice(0)) one.holds() ? one.done() : waiting.push(one);
  };
  const failAll = (error: Error): void => waiting.splice(0).forEach((one) => one.fail(error));
  const meter: VirtualMeter = createVirtualMeter({
    bytecode, dir,
    clock: { startMs: START_MS, realStartMs: Date.now(), rate: 100 },
    load: (atMs) => 2700 + (atMs % 997),
    onConsole: (line) => {
      lines.push(line);
      check();
    },
    onLight: (lit, atMs) => {
      blinks.push({ lit: !lit, ms: atMs - changedMs });
      changedMs = atMs;
      check();
    },
    onPanic: (code) => failAll(new Error(`panic ${code}: ${lines.slice(-5).join(' | ')}`)),
    onFailed: failAll,
  });
  const ledger = await openTestLedger(ORIGIN, PAIR_KEY, () => Math.floor(meter.nowMs() / 1000));
  ledger.onPost = check;
  t.teardown(async () => {
    await meter.stop();
    ledger.close();
    server.close();
    rmSync(dir, { recursive: true });
  });
  let bootMs = 0;
  const powerOn = (): void => {
    meter.powerOn();
    bootMs = meter.nowMs();
  };
  powerOn();
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await pair(meter, ledger.url, address, times.batchS ?? 30);
  return {
    meter, ledger, lines, blinks, node, powerOn,
    bootMs: () => bootMs,
    until: (what, holds) =>
      new Promise<void>((done, fail) => {
        waiting.push({ what, holds, done, fail });
        check();
      }),
    statement: () => statementIn(lines),
  };
}

/** The first enrolment statement printed, empty until it is whole. */
function statementIn(lines: string[]): Buffer {
  const parts = lines
    .filter((line) => /^enrol \d+\/\d+ /.test(line))
    .map((line) => line.split(/[ /]/));
  const count = Number(parts[0]?.[2] ?? Infinity);
  const digits = parts.slice(0, count).map(([, , , hex]) => hex);
  return Buffer.from(parts.length >= count ? digits.join('') : '', 'hex');
}

async function pair(
  meter: VirtualMeter,
  ledger: string,
  node: string,
  batchS: number,
): Promise<void> {
  const times = Buffer.alloc(12);
  [10, batchS, 5].forEach((seconds, i) => times.writeUInt32LE(seconds, 4 * i));
  const settings: [string, Buffer][] = [
    ['origin', Buffer.from(ORIGIN)],
    ['node', Buffer.from(node)],
    ['pairkey', PAIR_KEY],
    ['entropy', Buffer.alloc(32, 1)],
    ['nonce', Buffer.alloc(32, 2)],
    ['times', times],
    ['height', Buffer.of(5)],
    ['ledger', Buffer.from(ledger)],
  ];
  for (const [key, value] of settings) await meter.writeSetting(key, value);
}
