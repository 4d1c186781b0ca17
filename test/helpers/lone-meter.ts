// A meter on Node in a small world of its own: its fibers (firmware/), its chips at register level, a
// node that serves counters, a ledger that judges everything. No weather, no disk, no sockets: a
// minute takes milliseconds. For tests that live thousands of short lives; test/firmware/year has
// the long ones. The same options give the same life, to the last transfer.
import { createHmac, hash, hkdfSync } from 'node:crypto';
import './firmware.ts';
import type { Connection } from '../../firmware/http.ts';
import type { Edge, Meter } from '../../firmware/meter.ts';
import type { Face } from '../../firmware/screen.ts';
import { createFram, FRAM_BYTES } from '../../provisioner/virtual/fram.ts';
import {
  createI2cBus, I2C_STATUS, type I2cChip, type I2cFault, type I2cTransaction, type LineFault,
} from '../../provisioner/virtual/i2c.ts';
import { createIna226, energyMicroWh } from '../../provisioner/virtual/ina226.ts';
import { ADDRESS, SHUNT_MICRO_OHM } from '../../provisioner/virtual/meter.ts';
import { httpResponse, parseRequest } from '../firmware/year/network.ts';
import { Timeline, type Life } from '../firmware/year/timeline.ts';
import { chance } from '../ledger/ask/homes.ts';
import { createJudge } from './ledger.ts';

const { faceOf, isReporting, keepRunning, openWhenWell, resumeCounters, waitForPairing } =
  await import('../../firmware/meter.ts');
const { measure, probeNode } = await import('../../firmware/measuring.ts');
const { grow } = await import('../../firmware/growing.ts');
const { report } = await import('../../firmware/reporting.ts');
const { signOf } = await import('../../firmware/light.ts');
const { troubledFace, wordsOf } = await import('../../firmware/screen.ts');

export const START_MS = Date.parse('2027-01-01T00:00:00Z');
const BOOT_MS = 1_150;
const ORIGIN = 'ledger.test/commons';
const PAIR_KEY = Buffer.alloc(32, 0x5a);

export interface LoneOptions {
  seed: number;
  /** What the memory holds at first, 32 or 128 KB; by default what a small one is made with. */
  image?: Buffer;
  /** Interval, batch period and probe period, s. */
  timesS?: [number, number, number];
  /** Voltage across the shunt; by default some 3 W, never twice the same. */
  shuntNanoV?: (atMs: number) => number;
  /** Another world than the usual, seen through the edge. */
  bend?: (edge: Edge) => Edge;
  /** Whether the next key grows behind the rest; it costs a second of hashing a minute. */
  grows?: boolean;
  /** What becomes of a transfer to the memory; undefined: nothing out of the ordinary. */
  onTransfer?: (count: number, transaction: I2cTransaction) => LineFault | undefined;
}

export type NodeLine = 'well' | 'refused' | 'no route' | 'hung';
export type LoneMeter = ReturnType<typeof createLoneMeter>;

/** The meter, without power. */
export function createLoneMeter(options: LoneOptions) {
  const { seed, image, timesS = [5, 10, 4], grows = false, shuntNanoV = usualLoad, bend = (edge) => edge, onTransfer = () => undefined } = options;
  const timeline = new Timeline(START_MS);
  const random = chance(seed);
  const cells = image === undefined ? Buffer.alloc(FRAM_BYTES) : Buffer.from(image);
  const ledger = createJudge(ORIGIN, PAIR_KEY, () => Math.floor(timeline.nowMs() / 1000) + skewS);
  const sensor = createIna226({
    sense: (atMs) => ({ shuntNanoV: shuntNanoV(atMs), busMicroV: 5_100_000 }),
    onTruth: () => {},
  });
  const fram = createFram({ cells });
  const chips = createI2cBus(new Map<number, I2cChip>([
    [ADDRESS.sensor, sensor], [ADDRESS.fram, fram],
    ...(fram.upper ? [[ADDRESS.fram + 1, fram.upper] as const] : []),
  ]));
  const settings = settingsOf(timesS);
  const statement: string[] = [];
  const lines: string[] = [];
  /** What the ledger must never see. */
  const problems: string[] = [];
  let transfers = 0;
  let [life, bootMs]: [Life | null, number] = [null, 0];
  let [meter, told]: [Meter | null, string] = [null, ''];
  const node = {
    bytes: 1_000, boot: '0'.repeat(31) + '1', line: 'well' as NodeLine,
    /** Answered instead of its counters. */
    instead: null as Buffer | null,
  };
  const home = {
    /** The meter's own address. */
    own: null as Buffer | null,
    /** Where the node is: at its name, or at an address alone. */
    nodeAt: 'node',
    /** What the node calls itself. */
    host: undefined as string | undefined,
    /** Who else answers, by address, and with what. */
    others: new Map<string, Buffer>(),
  };
  let skewS = 0;

  const transfer = (own: Life) => async (address: number, write: Uint8Array, readBytes: number) => {
    if (address === ADDRESS.fram || address === ADDRESS.fram + 1) {
      chips.setFault(address, onTransfer(transfers++, { address, write, readBytes }));
    }
    const { status, bytes } = chips.transact({ address, write, readBytes }, timeline.nowMs());
    if (own.over) return await timeline.abandon();
    if (status !== I2C_STATUS.ok) throw new Error(`i2c: status ${status} from ${address}`);
    return Buffer.from(bytes);
  };
  const print = (line: string): void => {
    lines.push(line);
    const part = /^enrol (\d+)\/(\d+) ([0-9a-f]+)$/.exec(line);
    if (part === null) return;
    statement[Number(part[1]) - 1] = part[3];
    if (part[1] === part[2]) ledger.enrol(Buffer.from(statement.join(''), 'hex'));
  };
  const answer = (host: string, bytes: Buffer): Buffer | null => {
    const request = parseRequest(bytes);
    const other = home.others.get(host);
    if (other !== undefined) return other;
    if (host === 'node' && request.method === 'GET') {
      node.bytes += 1_234;
      if (node.instead !== null) return node.instead;
      return httpResponse(200, Buffer.from(JSON.stringify({
        v: 1, boot: node.boot, wan_in_bytes: node.bytes, wan_out_bytes: 5,
        disk_used_bytes: 77, host: home.host,
      })));
    }
    if (host === 'node') return httpResponse(502, Buffer.alloc(0));
    try {
      const { status, body } = ledger.answer(request.body, request.headers.get('commons-nonce')!);
      return status === 0 ? null : httpResponse(status, body);
    } catch (error) {
      // The meter would take it for silence.
      problems.push((error as Error).message);
      return null;
    }
  };
  const connect = (own: Life) => async (
    asked: string, _port: number, _tls: boolean, timeoutMs: number,
  ): Promise<Connection> => {
    if (asked === 'node' && home.nodeAt !== 'node') throw new Error("can't resolve host");
    const host = asked === home.nodeAt ? 'node' : asked;
    if (/^[0-9.]+$/.test(host) && !home.others.has(host)) {
      await timeline.sleep(timeoutMs, own);
      throw new Error('Timeout');
    }
    const line = host === 'node' ? node.line : 'well';
    if (line === 'no route') await timeline.sleep(timeoutMs, own);
    if (line !== 'well' && line !== 'hung') throw new Error(line);
    const sent: Buffer[] = [];
    let isAsked = false;
    await timeline.sleep(5, own);
    return {
      send: async (bytes) => void sent.push(Buffer.from(bytes)),
      async receive(patienceMs) {
        await timeline.sleep(line === 'hung' ? patienceMs : 5, own);
        if (line === 'hung') return undefined;
        if (isAsked) return null;
        isAsked = true;
        return answer(host, Buffer.concat(sent));
      },
      close: async () => {},
    };
  };
  const edgeOf = (own: Life): Edge => ({
    millis: () => timeline.nowMs() - bootMs,
    sleep: (ms) => timeline.sleep(ms, own),
    pause: () => timeline.pause(own),
    print,
    ownAddress: async () => home.own,
    joinNetwork: async () => {},
    connect: connect(own),
    setting: async (key) => settings.get(key) ?? null,
    random: (size) => Buffer.from(Array.from({ length: size }, () => random() * 256)),
    sha256: (pieces) => hash('sha256', Buffer.concat(pieces), 'buffer'),
    hmac: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
    hkdf: (key, info, salt) => Buffer.from(hkdfSync('sha256', key, salt, info, 32)),
    hashInto: (out, at, n, a, b) => {
      const whole = b ? Buffer.concat([a as Buffer, b as Buffer]) : (a as Buffer);
      hash('sha256', whole, 'buffer').copy(out as Buffer, at, 0, n);
    },
  });
  /** As main.ts does, but for screen, light and button. */
  const live = async (own: Life): Promise<void> => {
    const edge = bend(edgeOf(own));
    const tell = async (words: string): Promise<void> => void (told = words);
    const mine = await openWhenWell(edge, { transfer: transfer(own) }, tell);
    [meter, told] = [mine, ''];
    edge.print(`boot ${mine.journal.bootId}`);
    const pairing = await waitForPairing(mine, () => edge.sleep(5_000));
    await resumeCounters(mine, pairing);
    timeline.start(own, () => keepRunning(mine, 'measure', () => measure(mine, pairing)));
    timeline.start(own, () => keepRunning(mine, 'probe', () => probeNode(mine, pairing)));
    if (grows) timeline.start(own, () => keepRunning(mine, 'grow', () => grow(mine, pairing)));
    timeline.start(own, () => keepRunning(mine, 'report', () => report(mine, pairing)));
  };
  const face = (): Face => (meter === null ? troubledFace(told) : faceOf(meter));
  return {
    cells, home, ledger, lines, node, problems,
    setSensorFault: (fault: I2cFault | undefined) => chips.setFault(ADDRESS.sensor, fault),
    stepLedgersClock: (seconds: number): void => void (skewS += seconds),
    meter: () => meter,
    transfers: () => transfers,
    /** The screen's last line. */
    words: () => wordsOf(face()),
    /** The light's sign; null while no program runs. */
    sign: () => (meter === null && told === '' ? null : signOf(face(), meter !== null && isReporting(meter))),
    truthMicroWh: () => energyMicroWh(sensor.truth(timeline.nowMs()).stepMs, SHUNT_MICRO_OHM),
    powerOn(): void {
      const own: Life = { over: false };
      [life, bootMs] = [own, timeline.nowMs()];
      chips.powerOn(bootMs);
      timeline.at(bootMs + BOOT_MS, () => timeline.start(own, () => live(own)));
    },
    cutPower(): void {
      if (life !== null) life.over = true;
      [life, meter] = [null, null];
      chips.powerOff(timeline.nowMs());
    },
    run: (seconds: number) => timeline.run(timeline.nowMs() + seconds * 1000),
    nowS: () => (timeline.nowMs() - START_MS) / 1000,
  };
}

function usualLoad(atMs: number): number {
  return 5_000_000 + ((atMs * 7) % 3_000_000);
}

function settingsOf(timesS: number[]): Map<string, Buffer> {
  const times = Buffer.alloc(12);
  timesS.forEach((seconds, i) => times.writeUInt32LE(seconds, 4 * i));
  return new Map([
    ['ledger', Buffer.from('http://ledger.test')],
    ['origin', Buffer.from(ORIGIN)],
    ['node', Buffer.from('node')],
    ['pairkey', PAIR_KEY],
    ['entropy', Buffer.alloc(32, 0x0e)],
    ['nonce', Buffer.alloc(32, 0x0f)],
    ['times', times],
  ]);
}
