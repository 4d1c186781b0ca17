// A meter in its machine, and all that it touches: chips at register level, a home and the project's
// whole ledger behind real sockets. What happens is told by the meter's own time. Holds the truth that
// a day is judged by; does nothing to the meter by itself.
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { createVirtualMeter, type VirtualMeter } from '../../../provisioner/virtual/meter.ts';
import { chance } from '../../ledger/ask/homes.ts';
import { openCommons, ORIGIN, type Commons } from '../year/commons.ts';
import { Home } from '../year/home.ts';
import { httpResponse, type Answer, type HttpRequest } from '../year/network.ts';
import { openDoor, type Door } from './door.ts';

export const START_MS = Date.parse('2027-01-01T00:00:00Z');
export const TIMES = { intervalS: 900, batchS: 1800, probeS: 60 };
const PAIR_KEY = Buffer.alloc(32, 0x5a);

export interface DayWorldOptions {
  seed: number;
  /** A folder for the meter and the ledger, made and removed by the caller. */
  dir: string;
  tell?: (line: string) => void;
}

export async function openDayWorld(options: DayWorldOptions): Promise<DayWorld> {
  const { seed, dir } = options;
  const { bytecode } = await buildFirmware();
  const world = new DayWorld(options, bytecode);
  const around = { ...world.surroundings(), chance: chance(seed + 2) };
  world.commons = await openCommons(around, join(dir, 'ledger'), PAIR_KEY);
  world.lan = await openDoor(world.guarded(async () => world.answerCounters()), world.chance);
  world.wan = await openDoor(world.guarded((post) => world.commons.answer(post)), world.chance);
  return world;
}

export class DayWorld {
  readonly problems: string[] = [];
  readonly chance: () => number;
  readonly meter: VirtualMeter;
  readonly home: Home;
  commons!: Commons;
  lan!: Door;
  wan!: Door;
  /** Nonsense that the node answers with for now. */
  claims: Buffer | null = null;
  /** The boot that is under way. */
  boot = { id: 0, startMs: START_MS };
  cuts = 0;
  /** What the sensor could not tell of, and what its readings around may blur. */
  readonly hidden = { microWh: 0, blurMicroWh: 0 };
  private readonly tell: (line: string) => void;
  private readonly due: { atMs: number; act: () => void }[] = [];
  private isLooking = false;
  private readonly statement: string[] = [];
  private enrolled = '';

  constructor({ seed, dir, tell = () => {} }: DayWorldOptions, bytecode: Uint8Array) {
    this.tell = tell;
    this.chance = chance(seed);
    this.meter = createVirtualMeter({
      ...{ bytecode, dir: join(dir, 'meter') },
      clock: { startMs: START_MS, realStartMs: Date.now(), rate: Infinity },
      load: (atMs) => this.home.milliW(atMs),
      onKept: () => this.look(),
      onConsole: (line) => this.heardLine(line),
      onPanic: (code) => this.amiss(`panic ${code}`),
      onFailed: (error) => this.amiss(error.message),
    });
    this.home = new Home(() => this.nowMs(), chance(seed + 1));
  }

  nowMs(): number {
    return this.meter.nowMs();
  }

  note(line: string): void {
    this.tell(`${this.nowMs() - START_MS} ${line}`);
  }

  amiss(what: string): void {
    this.note(`AMISS ${what}`);
    this.problems.push(`${this.nowMs() - START_MS} ms: ${what}`);
  }

  surroundings() {
    return {
      timeline: { nowMs: () => this.nowMs() },
      digest: (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer'),
      note: (line: string) => this.note(line),
      amiss: (what: string) => this.amiss(what),
    };
  }

  /** Does it once the meter's time has come that far. */
  at(atMs: number, act: () => void): void {
    this.due.push({ atMs, act });
  }

  powerOn(offMs = 0): void {
    this.meter.powerOn(offMs);
    this.boot = { ...this.boot, startMs: this.nowMs() };
  }

  cutPower(offMs: number): void {
    if (!this.meter.isPowered()) return;
    this.noteCut();
    void this.meter.cutPower().then(() => this.powerOn(offMs));
  }

  /** The supply fails after so many more bytes are in the FRAM. */
  cutAfter(bytes: number, offMs: number): void {
    void this.meter.cutAfterWrittenBytes(bytes).then(() => {
      this.noteCut();
      this.powerOn(offMs);
    });
  }

  /** What the bench writes into a meter when it pairs it. */
  async pair(): Promise<void> {
    const times = Buffer.alloc(12);
    [TIMES.intervalS, TIMES.batchS, TIMES.probeS].forEach((s, i) => times.writeUInt32LE(s, 4 * i));
    const settings: [string, Buffer][] = [
      ['origin', Buffer.from(ORIGIN)], ['node', Buffer.from(this.lan.address)],
      ['pairkey', PAIR_KEY], ['entropy', Buffer.alloc(32, 0x0e)],
      ['nonce', Buffer.alloc(32, 0x0f)], ['times', times],
      ['ledger', Buffer.from(`http://${this.wan.address}`)],
    ];
    for (const [key, value] of settings) await this.meter.writeSetting(key, value);
  }

  /** The node's counters, heard only if they were sent whole while the meter had power. */
  answerCounters(): Answer | undefined {
    const { home, claims, cuts } = this;
    if (!home.isUp()) return undefined;
    if (claims !== null) return { bytes: claims, afterMs: 0 };
    const counters = home.counters();
    const body = JSON.stringify({
      v: 1, boot: counters.boot, wan_in_bytes: counters.inBytes, wan_out_bytes: counters.outBytes,
      disk_used_bytes: counters.diskUsedBytes,
    });
    const delivered = (): void => {
      if (this.cuts === cuts) home.heard(counters);
    };
    return { bytes: httpResponse(200, Buffer.from(body)), afterMs: 0, delivered };
  }

  /** An answer that fails is a problem of the day, and none to the meter. */
  guarded(answer: (request: HttpRequest) => Promise<Answer | undefined>) {
    return (request: HttpRequest): Promise<Answer | undefined> =>
      answer(request).catch((error: unknown) => void this.amiss(`answering: ${error}`));
  }

  async close(): Promise<void> {
    await this.meter.stop();
    this.lan.close();
    this.wan.close();
    await this.commons.close();
  }

  private noteCut(): void {
    this.cuts++;
    this.home.meterCut();
    this.note('power cut');
  }

  /** Each second, as counters are kept; once that transaction is over: an act may cut the power. */
  private look(): void {
    if (this.isLooking) return;
    this.isLooking = true;
    setImmediate(() => {
      this.isLooking = false;
      const nowMs = this.nowMs();
      const ripe = this.due.filter(({ atMs }) => atMs <= nowMs).sort((a, b) => a.atMs - b.atMs);
      for (const one of ripe) {
        this.due.splice(this.due.indexOf(one), 1);
        one.act();
      }
    });
  }

  private heardLine(line: string): void {
    this.note(`meter ${line}`);
    const boot = /^boot (\d+)$/.exec(line);
    if (boot !== null) this.boot = { ...this.boot, id: Number(boot[1]) };
    if (line.startsWith('fault ')) this.amiss(line);
    const part = /^enrol (\d+)\/(\d+) ([0-9a-f]+)$/.exec(line);
    if (part !== null) this.statement[Number(part[1]) - 1] = part[3];
    if (part !== null && part[1] === part[2]) this.enrol(this.statement.join(''));
  }

  private enrol(hex: string): void {
    if (this.enrolled !== '' && this.enrolled !== hex) this.amiss('another enrolment statement');
    if (this.enrolled !== '') return;
    this.enrolled = hex;
    this.commons.enrol(Buffer.from(hex, 'hex')).then(
      () => this.note('enrolled'),
      (error) => this.amiss(`enrolling: ${error}`),
    );
  }
}
