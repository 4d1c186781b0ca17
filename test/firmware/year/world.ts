// A simulated meter and all that it touches: its chips at register level, whose memory outlives its
// power; a home; a network; a ledger. The meter's own fibers run on Node against an Edge of this
// world's time. Holds the truth that they are judged by; does nothing to them by itself.
import { createHash, createHmac, hash, hkdfSync } from 'node:crypto';
import '../../helpers/firmware.ts';
import type { Edge, Meter } from '../../../firmware/meter.ts';
import { createFram, FRAM_BYTES, type Fram } from '../../../provisioner/virtual/fram.ts';
import { createI2cBus, I2C_STATUS, type ChipBus, type I2cChip } from '../../../provisioner/virtual/i2c.ts';
import {
  createIna226, energyMicroWh, type Ina226, type TruthPoint,
} from '../../../provisioner/virtual/ina226.ts';
import { ADDRESS, SHUNT_MICRO_OHM } from '../../../provisioner/virtual/meter.ts';
import { chance } from '../../ledger/ask/homes.ts';
import { openCommons, ORIGIN, type Commons } from './commons.ts';
import { Home } from './home.ts';
import { connectThrough, HOST, httpResponse, parseRequest, type Answer, type Network } from './network.ts';
import { NETWORKS, Place } from './place.ts';
import { Timeline, type Life } from './timeline.ts';

const { keepRunning, openWhenWell, resumeCounters, waitForPairing } =
  await import('../../../firmware/meter.ts');
const { keepConnected, measure, probeNode } = await import('../../../firmware/measuring.ts');
const { grow } = await import('../../../firmware/growing.ts');
const { report } = await import('../../../firmware/reporting.ts');

export const START_MS = Date.parse('2027-01-01T00:00:00Z');
const COUNTERS_PORT = 8010;
/** From the supply's coming up to the program's first line, as on a board. */
const BOOT_MS = 1150;
const PROBE_S = 30;
const NONE = Buffer.alloc(0);
const PAIR_KEY = Buffer.alloc(32, 0x5a);

export interface WorldOptions {
  seed: number;
  /** A folder for the ledger, made and removed by the caller. */
  dir: string;
  intervalS: number;
  batchS: number;
  tell?: (line: string) => void;
}

export async function openWorld(options: WorldOptions): Promise<World> {
  const world = new World(options);
  world.commons = await openCommons(world, options.dir, PAIR_KEY);
  return world;
}

export class World {
  readonly timeline = new Timeline(START_MS);
  readonly chance: () => number;
  readonly home: Home;
  readonly lines: Network = { lan: 'well', wan: 'well' };
  readonly place = new Place(() => this.timeline.nowMs());
  readonly chips: ChipBus;
  readonly fram: Fram;
  readonly cells = Buffer.alloc(FRAM_BYTES);
  commons!: Commons;
  /** Null while the meter has no power, or has not opened its memory yet. */
  meter: Meter | null = null;
  life: Life | null = null;
  /** No fault comes any more. */
  isCalm = false;
  /** Nonsense that the node answers with for now. */
  claims: Buffer | null = null;
  readonly counts = { cuts: 0, bytesWritten: 0, faults: 0, probes: 0, boots: 0 };
  poweredMs = 0;
  /** Energy that cuts and faults of the sensor may have cost, µWh; and what faults hid for sure. */
  readonly allowed = { lostMicroWh: 0, hiddenMicroWh: 0 };
  readonly problems: string[] = [];
  /** Told of a write to the FRAM before a byte of it is kept. */
  onFramWrite: (address: number, data: Buffer) => void = () => {};
  onLine: (line: string) => void = () => {};
  onHeard: () => void = () => {};
  /** The meter has heard its node at an address where it had not been. */
  onFound: () => void = () => {};
  private readonly sensor: Ina226;
  private readonly random: () => number;
  private readonly log = createHash('sha256');
  private readonly settings: Map<string, Buffer>;
  private readonly tell: (line: string) => void;
  private recent: TruthPoint[] = [];
  private poweredAtMs = 0;
  private statement: string[] = [];
  private enrolled = '';

  constructor({ seed, intervalS, batchS, tell = () => {} }: WorldOptions) {
    this.tell = tell;
    this.chance = chance(seed);
    this.random = chance(seed + 1);
    const nowMs = (): number => this.timeline.nowMs();
    this.home = new Home(nowMs, chance(seed + 2));
    this.fram = createFram({
      cells: this.cells,
      onKept: (start, end) => void (this.counts.bytesWritten += end - start),
    });
    this.sensor = createIna226({
      sense: (atMs) => this.home.sense(atMs),
      onTruth: (point) => {
        this.recent.push(point);
        if (this.recent.length > 8) this.recent.shift();
      },
    });
    this.chips = createI2cBus(new Map<number, I2cChip>([
      [ADDRESS.sensor, this.sensor], [ADDRESS.fram, this.fram],
    ]));
    this.settings = pairingSettings([intervalS, batchS, PROBE_S]);
  }

  /** Everything that happens, in order; its hash tells whether two years were the same. */
  note(line: string): void {
    const text = `${this.timeline.nowMs() - START_MS} ${line}`;
    this.log.update(`${text}\n`);
    this.tell(text);
  }

  logHash(): string {
    return this.log.copy().digest('hex');
  }

  amiss(what: string): void {
    this.note(`AMISS ${what}`);
    this.problems.push(`${this.timeline.nowMs() - START_MS} ms: ${what}`);
  }

  digest(bytes: Uint8Array): Buffer {
    return hash('sha256', bytes, 'buffer');
  }

  /** What the sensor has integrated. */
  truthMicroWh(): number {
    return energyMicroWh(this.sensor.truth(this.timeline.nowMs()).stepMs, SHUNT_MICRO_OHM);
  }

  powerOn(): void {
    if (this.life !== null) return;
    const { timeline } = this;
    const life: Life = { over: false };
    this.life = life;
    this.counts.boots++;
    this.poweredAtMs = timeline.nowMs();
    this.chips.powerOn(timeline.nowMs());
    this.note('power on');
    timeline.at(timeline.nowMs() + BOOT_MS, () => {
      if (!life.over) timeline.start(life, () => this.live(life));
    });
  }

  /** At this very moment, whatever the meter is doing. */
  cutPower(): void {
    if (this.life === null) return;
    const nowMs = this.timeline.nowMs();
    this.life.over = true;
    this.life = null;
    this.meter = null;
    this.poweredMs += nowMs - this.poweredAtMs;
    this.counts.cuts++;
    this.home.meterCut();
    this.allowed.lostMicroWh += this.truthMicroWh() - this.truthMicroWhAt(nowMs - 2000);
    this.chips.powerOff(nowMs);
    this.note('power cut');
  }

  /** The supply fails after so many more bytes are in the FRAM. */
  cutAfter(bytes: number): void {
    this.fram.cutAfter(bytes, () => this.cutPower());
  }

  poweredSoFarMs(): number {
    return this.poweredMs + (this.life === null ? 0 : this.timeline.nowMs() - this.poweredAtMs);
  }

  /** The chip's truth at a moment a few seconds ago. */
  truthMicroWhAt(atMs: number): number {
    const { recent } = this;
    const now = this.sensor.truth(this.timeline.nowMs());
    const all = [...recent, now];
    const after = all.findIndex((point) => point.atMs >= atMs);
    if (after <= 0) return energyMicroWh(all[0].stepMs, SHUNT_MICRO_OHM);
    const [a, b] = [all[after - 1], all[after]];
    const part = (b.stepMs - a.stepMs) * BigInt(atMs - a.atMs);
    return energyMicroWh(a.stepMs + part / BigInt(Math.max(1, b.atMs - a.atMs)), SHUNT_MICRO_OHM);
  }

  /** As main.ts does, but for screen, light and button. */
  private async live(life: Life): Promise<void> {
    const { timeline } = this;
    const edge = this.edgeOf(life);
    const bus = { transfer: this.transferOf(life) };
    const meter = await openWhenWell(edge, bus, async () => {});
    this.meter = meter;
    edge.print(`boot ${meter.journal.bootId}`);
    const pairing = await waitForPairing(meter, () => edge.sleep(5_000));
    await resumeCounters(meter, pairing);
    timeline.start(life, () => keepRunning(meter, 'measure', () => measure(meter, pairing)));
    timeline.start(life, () => keepRunning(meter, 'probe', () => probeNode(meter, pairing)));
    timeline.start(life, () => keepRunning(meter, 'grow', () => grow(meter, pairing)));
    timeline.start(life, () => keepRunning(meter, 'networks', () => keepConnected(meter, pairing)));
    timeline.start(life, () => keepRunning(meter, 'report', () => report(meter, pairing)));
  }

  private transferOf(life: Life) {
    // Plain promises: this runs two hundred million times a year.
    return (address: number, bytes: Buffer, count: number): Promise<Buffer> => {
      if (address === ADDRESS.fram && bytes.length > 2) {
        this.onFramWrite(bytes.readUInt16BE(0), bytes.subarray(2));
      }
      const transaction = { address, write: bytes, readBytes: count };
      const { status, bytes: read } = this.chips.transact(transaction, this.timeline.nowMs());
      if (life.over) return this.timeline.abandon();
      if (status !== I2C_STATUS.ok) {
        return Promise.reject(new Error(`i2c: status ${status} from ${address}`));
      }
      return Promise.resolve(count > 0 ? Buffer.from(read.buffer, 0, count) : NONE);
    };
  }

  setting(key: string): Buffer | null {
    if (key === 'wifi_ssid') return Buffer.from(this.place.ssid());
    return this.settings.get(key) ?? null;
  }

  edgeOf(life: Life): Edge {
    const { timeline } = this;
    const bootMs = this.poweredAtMs;
    return {
      millis: () => timeline.nowMs() - bootMs,
      sleep: (ms) => timeline.sleep(ms, life),
      pause: () => timeline.pause(life),
      print: (line) => this.heardLine(line),
      ownAddress: async () => this.place.ownAddress(),
      joinNetwork: async (ssid) => this.place.join(ssid),
      connect: (host, port, _tls, timeoutMs) => connectThrough({
        timeline, life, chance: this.random, lines: this.lines,
        leadsTo: (host) => this.place.leadsTo(host),
        answer: (to, at, request) => this.answer(to, at, request),
      }, host, port, timeoutMs),
      setting: async (key) => this.setting(key),
      random: (size) => Buffer.from(Array.from({ length: size }, () => this.random() * 256)),
      sha256: (pieces) => this.digest(Buffer.concat(pieces)),
      hmac: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
      hkdf: (key, info, salt) => Buffer.from(hkdfSync('sha256', key, salt, info, 32)),
      hashInto: (out, at, n, a, b) => {
        const whole = b ? Buffer.concat([a as Buffer, b as Buffer]) : (a as Buffer);
        hash('sha256', whole, 'buffer').copy(out as Buffer, at, 0, n);
      },
    };
  }

  private heardLine(line: string): void {
    this.note(`meter ${line}`);
    if (line.startsWith('fault ')) this.counts.faults++;
    const part = /^enrol (\d+)\/(\d+) ([0-9a-f]+)$/.exec(line);
    if (part !== null) this.statement[Number(part[1]) - 1] = part[3];
    if (part !== null && part[1] === part[2]) this.enrolSoon(this.statement.join(''));
    this.onLine(line);
  }

  /** The bench takes a minute. Until then the same statement comes at each boot, no other ever. */
  private enrolSoon(hex: string): void {
    const { timeline } = this;
    if (this.enrolled !== '' && this.enrolled !== hex) this.amiss('another enrolment statement');
    if (this.enrolled !== '') return;
    this.enrolled = hex;
    const bench: Life = { over: false };
    const atMs = timeline.nowMs() + 60_000;
    timeline.at(atMs, () => timeline.start(bench, async () => {
      await this.commons.enrol(Buffer.from(hex, 'hex'));
      this.note('enrolled');
    }));
  }

  private async answer(host: string, port: number, bytes: Buffer): Promise<Answer | undefined> {
    const request = parseRequest(bytes);
    if (this.place.leadsTo(host) !== 'node') return await this.commons.answer(request);
    if (!this.home.isUp()) return undefined;
    if (port === COUNTERS_PORT) return this.answerCounters(host);
    // The relay on the node.
    if (this.lines.wan !== 'well') return { bytes: httpResponse(502, Buffer.alloc(0)), afterMs: 900 };
    return await this.commons.answer({ ...request, path: request.path.replace('/commons', '') });
  }

  private answerCounters(host: string): Answer {
    this.counts.probes++;
    const afterMs = Math.floor(this.random() * 80);
    if (this.claims !== null) return { bytes: this.claims, afterMs };
    const counters = this.home.counters();
    const body = JSON.stringify({
      v: 1, boot: counters.boot, host: HOST, wan_in_bytes: counters.inBytes, wan_out_bytes: counters.outBytes,
      disk_used_bytes: counters.diskUsedBytes,
    });
    const delivered = (): void => {
      this.home.heard(counters);
      this.onHeard();
      if (this.place.found(host)) this.onFound();
    };
    return { bytes: httpResponse(200, Buffer.from(body)), afterMs, delivered };
  }
}

function pairingSettings(timesS: number[]): Map<string, Buffer> {
  const times = Buffer.alloc(12);
  timesS.forEach((seconds, i) => times.writeUInt32LE(seconds, 4 * i));
  return new Map([
    ['ledger', Buffer.from('http://ledger.test')],
    ['origin', Buffer.from(ORIGIN)],
    ['node', Buffer.from(HOST)],
    ['host', Buffer.from(HOST)],
    ...NETWORKS.map(({ ssid, passphrase }, i): [string, Buffer] =>
      [`net${i + 1}`, Buffer.from(`${ssid}\0${passphrase}`)]),
    ['pairkey', PAIR_KEY],
    ['entropy', Buffer.alloc(32, 0x0e)],
    ['nonce', Buffer.alloc(32, 0x0f)],
    ['times', times],
  ]);
}
