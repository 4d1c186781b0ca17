// `kit meter`: the command line of this folder.

import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Argument, Command, InvalidArgumentError } from 'commander';
import type { BenchRecord, Json } from '../bench/record.ts';
import { atWorkbench, type Workbench, type WorkbenchOptions } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { wifiOf, wifiPassphrase } from '../campaign/wifi.ts';
import { KitError } from '../errors.ts';
import { createOutput, type Output, type OutputOptions } from '../terminal.ts';
import { createVirtualMeter } from '../virtual/meter.ts';
import type { Board } from './board.ts';
import { buildFirmware, type Firmware } from './build.ts';
import { calibrateMeter, calibrationOf, type Calibrated } from './calibrate.ts';
import { flashMeters, type FlashedMeter, type FlashMeterDeps, type FlashMeterOptions } from './flash.ts';
import { pairMeter, type Paired, type PairOptions } from './pair.ts';
import { virtualPort, type MeterPort } from './port.ts';
import { pinRuntime } from './runtime.ts';
import { ROM_BAUD } from './rom-loader.ts';
import { BY_EYE, selftest, unfit, type SelftestFinding } from './selftest.ts';
import { openSerialLine, setModemLinesByIoctl } from './serial-line.ts';
import { openUsbPort, type UsbPort } from './usb-port.ts';

export function commands(): Command[] {
  return [
    new Command('meter')
      .description("the kit's meter: its firmware and its key")
      .addCommand(buildCommand())
      .addCommand(runtimeCommand())
      .addCommand(flashCommand())
      .addCommand(calibrateCommand())
      .addCommand(pairCommand())
      .addCommand(selftestCommand()),
  ];
}

function buildCommand(): Command {
  return new Command('build')
    .description("build the meter's firmware; the same sources give the same bytes")
    .option('--out <file>', 'write the bytecode there')
    .action(async function (this: Command) {
      const options = this.optsWithGlobals<OutputOptions & { out?: string }>();
      const output = createOutput(options);
      const { bytecode, hash, kept } = await buildFirmware();
      if (options.out !== undefined) await writeFile(options.out, bytecode);
      const sha256 = Buffer.from(hash).toString('hex');
      const human = `firmware ${sha256}, ${bytecode.length} bytes${kept ? ', built before' : ''}`;
      output.result({ sha256, sizeBytes: bytecode.length, kept, out: options.out ?? null }, human);
    });
}

function runtimeCommand(): Command {
  return new Command('runtime')
    .description('fetch the DeviceScript runtime for a chip and pin it, for whoever pins a version')
    .addArgument(new Argument('<arch>').choices(['esp32c3', 'esp32s3']))
    .action(async function (this: Command, arch: Board['arch']) {
      const output = createOutput(this.optsWithGlobals<OutputOptions>());
      const { version, sha256, bytes } = await pinRuntime(arch, { fetch });
      const human = `${arch}: runtime ${version}, ${bytes.length} bytes, SHA-256 ${sha256}`;
      output.result({ arch, version, sha256, sizeBytes: bytes.length }, human);
    });
}

interface FlashWords extends OutputOptions, WorkbenchOptions, FlashMeterOptions {
  port: string[];
}

function flashCommand(): Command {
  return new Command('flash')
    .description('write runtime and program to boards, several at once; goes on where it was cut off')
    .argument('<kit...>', 'names of kits in the campaign')
    .requiredOption('--port <path...>', 'serial port of each kit’s board, in the same order')
    .option('--board <name>', 'which board it is, of hardware/pins.json', 'xiao-esp32c3')
    .option('--baud <rate>', 'speed of the lead', baud, 460_800)
    .option('--no-stub', 'by the chip’s ROM alone: slower, for boards that refuse the stub')
    .option('--no-reset', 'the board is in download mode already: BOOT held while RESET was pressed')
    .action(async function (this: Command, names: string[]) {
      const options = this.optsWithGlobals<FlashWords>();
      const output = createOutput(options);
      refuseMismatch(names, options.port);
      const firmware = await buildFirmware();
      await atWorkbench({ ...options, kits: names }, async ({ record }, kits) => {
        const jobs = kits.map((kit, index) => ({ kit, port: options.port[index]! }));
        const say: FlashMeterDeps['say'] = (event) =>
          output.event({ ...event, type: 'meter-flash', text: progressText(event) });
        const deps = { fetch, record, firmware, say, setModemLines: setModemLinesByIoctl };
        const meters = await flashMeters(jobs, options, deps);
        output.result({ meters }, meters.map(flashedText).join('\n'));
      });
    });
}

/** Kits and ports go by the order in which they are named. */
function refuseMismatch(names: string[], ports: string[]): void {
  if (names.length === ports.length) return;
  throw new KitError({
    code: 'meter-ports-do-not-match',
    message: 'There must be as many ports as kits',
    expected: `${names.length} ports for ${names.join(' ')}`,
    got: `${ports.length}: ${ports.join(' ')}`,
    hint: 'Name them in the same order: kit meter flash alice bob --port A --port B',
    exitCode: 2,
  });
}

function progressText({ kit, part, doneBytes, totalBytes }: Parameters<FlashMeterDeps['say']>[0]) {
  return `${kit}: ${part} ${Math.round((100 * doneBytes) / totalBytes)} %`;
}

function flashedText({ kit, port, mac, writtenBytes }: FlashedMeter): string {
  const work = writtenBytes === 0 ? 'held it all already' : `${writtenBytes} bytes written`;
  return `${kit}: board ${mac} on ${port}: ${work}, verified by MD5`;
}

interface CalibrateWords extends OutputOptions, WorkbenchOptions {
  volts: number;
  amperes: number;
  port?: string;
  anew: boolean;
}

function calibrateCommand(): Command {
  return new Command('calibrate')
    .description('take a known load as a point; two loads make the calibration that pairing states')
    .argument('<kit>', 'name of a kit in the campaign')
    .requiredOption('--volts <volts>', 'what the voltmeter at the load says', reading({ most: 36 }))
    .requiredOption('--amperes <amperes>', 'what the ammeter says', reading({ most: 8 }))
    .option('--port <path>', 'serial port of the board, if not where it was flashed')
    .option('--anew', 'forget the points that were taken', false)
    .action(async function (this: Command, name: string) {
      const { volts, amperes, ...options } = this.optsWithGlobals<CalibrateWords>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async ({ record }, [kit]) => {
        const { port: flashedAt, mac } = flashedMeter(record, kit);
        const load = { milliVolt: volts * 1e3, microAmp: amperes * 1e6 };
        const job = { kit: name, mac, load, anew: options.anew, limitMs: BOOT_LIMIT_MS };
        const calibrated = await onMeter(options.port ?? flashedAt, (port) =>
          calibrateMeter(port, record, job),
        );
        output.result({ kit: name, ...calibrated }, calibratedText(name, calibrated));
      });
    });
}

function calibratedText(kit: string, { points, calibration, worstPpm }: Calibrated): string {
  if (calibration === undefined) {
    return `${kit}: point ${points} taken; now a load of at least five times as much, or as little`;
  }
  const { id, nanoAmpPerStep, offsetNanoAmp } = calibration;
  const line = `${nanoAmpPerStep} nA a step, offset ${(offsetNanoAmp / 1e6).toFixed(2)} mA`;
  return `${kit}: calibration ${id} of ${points} points: ${line}; no point is off by more than ${(worstPpm! / 1e4).toFixed(2)} %`;
}

interface PairWords extends OutputOptions, WorkbenchOptions, PairWishes {
  port?: string;
  virtual?: string;
}

function pairCommand(): Command {
  return new Command('pair')
    .description('give a meter to a kit, and enrol its key with the ledger')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--port <path>', 'serial port of the board, if not where it was flashed')
    .option('--virtual <dir>', 'a meter without hardware, which lives in that folder')
    .option('--interval-s <seconds>', 'a record is closed this often', seconds)
    .option('--batch-s <seconds>', 'a batch is sent this often', seconds)
    .option('--probe-s <seconds>', 'the node is probed this often', seconds)
    .option('--key-height <height>', 'first key: 5, at once; 10, in minutes; others follow', height)
    .option('--ledger-url <url>', 'where the bench reaches the ledger, if not as the meter does')
    .action(async function (this: Command, name: string) {
      const { virtual: dir, port, ...options } = this.optsWithGlobals<PairWords>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async (bench, [kit]) => {
        const paired = await (dir === undefined
          ? pairAtBench(bench, kit, { port, options, output })
          : pairVirtual(bench, kit, { dir, options, output }));
        const human = `meter ${paired.meter} is ${name}'s, entry ${paired.entry}`;
        output.result({ kit: name, ...paired }, human);
      });
    });
}

const BOOT_LIMIT_MS = 15_000;
const LISTEN_MS = 6_000;

function selftestCommand(): Command {
  return new Command('selftest')
    .description('whether a board that was written is fit to be a meter, and what to do if not')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--port <path>', 'serial port of the board, if not where it was flashed')
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals<OutputOptions & WorkbenchOptions & { port?: string }>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async ({ record }, [kit]) => {
        const flashed = flashedMeter(record, kit);
        record.start(name, 'meter-selftest');
        const limits = { bootLimitMs: BOOT_LIMIT_MS, listenMs: LISTEN_MS };
        const findings = await onMeter(options.port ?? flashed.port, (port) =>
          selftest(port, { ...limits, firmware: flashed.firmware }),
        ).catch((error: unknown) => {
          record.fail(name, 'meter-selftest', error);
          throw error;
        });
        if (findings.some(({ ok }) => !ok)) {
          const error = unfit(name, findings);
          record.fail(name, 'meter-selftest', error);
          throw error;
        }
        record.done(name, 'meter-selftest', { findings: findings as unknown as Json });
        output.result({ kit: name, findings, lookAt: BY_EYE }, selftestText(findings));
      });
    });
}

function selftestText(findings: SelftestFinding[]): string {
  const checks = findings.map(({ check, words }) => `ok  ${check}: ${words}`);
  return [...checks, ...BY_EYE.map((thing) => `look: ${thing}`)].join('\n');
}

/** Opens the meter on a serial port for `work`, and closes it whatever happens. */
async function onMeter<T>(path: string, work: (port: UsbPort) => Promise<T>): Promise<T> {
  const line = await openSerialLine(path, ROM_BAUD, { setModemLines: setModemLinesByIoctl });
  try {
    const port = await openUsbPort(line);
    try {
      return await Promise.race([work(port), line.lost]);
    } finally {
      port.close();
    }
  } finally {
    await line.close();
  }
}

/** What the record knows of the kit's board. @throws KitError `meter-not-flashed` */
function flashedMeter(record: BenchRecord, kit: Kit): Pick<FlashedMeter, 'port' | 'firmware' | 'mac'> {
  const flashed = record.lastDone(kit.name, 'meter-flash')?.detail;
  if (flashed === undefined) throw notFlashed(kit);
  const text = (name: string): string => String(flashed[name]);
  return { port: text('port'), firmware: text('firmware'), mac: text('mac') };
}

/** What pairing is told on the command line, or by `kit make`. */
export type PairWishes = Omit<PairOptions, 'firmwareHash' | 'wifi' | 'calibration'>;

/**
 * Pairs the meter that `kit meter flash` wrote for the kit, on its serial port or the one named.
 * @throws KitError `meter-not-flashed`, `no-wifi`, `wifi-passphrase-missing`, those of the port
 */
export async function pairAtBench(
  bench: Workbench,
  kit: Kit,
  parts: { port?: string; options: PairWishes; output: Output },
): Promise<Paired> {
  const flashed = flashedMeter(bench.record, kit);
  const { ssid } = wifiOf(kit, bench.campaign);
  const secrets = await bench.secrets.kit(kit);
  const passphrase = wifiPassphrase(kit, secrets)!;
  const firmwareHash = new Uint8Array(Buffer.from(flashed.firmware, 'hex'));
  const calibration = calibrationOf(bench.record, kit.name, flashed.mac);
  if (calibration === undefined) {
    const text = `${kit.name}: not calibrated; it may err by 1 % and more (kit meter calibrate)`;
    parts.output.event({ type: 'pair', text, kit: kit.name });
  }
  const wifi = [{ ssid, passphrase }, ...(secrets.moreWifi ?? [])];
  const options = { ...parts.options, firmwareHash, calibration, wifi };
  return onMeter(parts.port ?? flashed.port, (port) =>
    pairThrough(bench, kit, { port, options, output: parts.output }),
  );
}

function notFlashed(kit: Kit): KitError {
  return new KitError({
    code: 'meter-not-flashed',
    message: `${kit.name} has no meter on this bench`,
    expected: 'a board that was written for it',
    got: 'none in the record',
    hint: `Write one: kit meter flash ${kit.name} --port PATH. (Pairing alone goes without hardware: --virtual DIR)`,
  });
}

/** Pairs through any port: for whoever holds a running meter. */
export function pairThrough(
  bench: Workbench,
  kit: Kit,
  { port, options, output }: { port: MeterPort; options: PairOptions; output: Output },
): Promise<Paired> {
  const random = (sizeBytes: number): Uint8Array => new Uint8Array(randomBytes(sizeBytes));
  const say = (text: string): void => output.event({ type: 'pair', text, kit: kit.name });
  return pairMeter(bench, kit, { port, options, deps: { fetch, random, say } });
}

interface PairVirtual {
  dir: string;
  options: PairWishes;
  output: Output;
}

async function pairVirtual(bench: Workbench, kit: Kit, parts: PairVirtual): Promise<Paired> {
  const firmware = await buildFirmware();
  const { promise: broken, reject } = Promise.withResolvers<never>();
  const meter = virtualMeter(parts.dir, firmware, reject);
  try {
    meter.powerOn();
    const { output } = parts;
    const options = { ...parts.options, firmwareHash: firmware.hash };
    const pairing = pairThrough(bench, kit, { port: virtualPort(meter), options, output });
    return await Promise.race([pairing, broken]);
  } finally {
    await meter.stop();
  }
}

function virtualMeter(dir: string, { bytecode }: Firmware, fail: (error: KitError) => void) {
  const realStartMs = Date.now();
  return createVirtualMeter({
    ...{ bytecode, dir, clock: { startMs: realStartMs, realStartMs, rate: 1 } },
    load: () => 0,
    onFailed: fail,
    onPanic: (code) => fail(panicked(code)),
  });
}

function panicked(code: number): KitError {
  return new KitError({
    code: 'meter-panic',
    message: 'The meter panicked',
    expected: 'a program that runs',
    got: `panic ${code}`,
    hint: 'Say the same again; if it stays so, tell whoever wrote the firmware.',
  });
}

function seconds(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= 86_400) return Number(text);
  throw new InvalidArgumentError('expected whole seconds, from 1 to 86400');
}

function reading({ most }: { most: number }): (text: string) => number {
  return (text) => {
    if (/^\d+(\.\d+)?$/.test(text) && Number(text) > 0 && Number(text) <= most) return Number(text);
    throw new InvalidArgumentError(`expected a number, above 0, at most ${most}`);
  };
}

function baud(text: string): number {
  const rate = Number(text);
  if ([115_200, 230_400, 460_800, 921_600, 1_500_000].includes(rate)) return rate;
  throw new InvalidArgumentError('expected 115200, 230400, 460800, 921600 or 1500000');
}

function height(text: string): 5 | 10 {
  if (text === '5' || text === '10') return Number(text) as 5 | 10;
  throw new InvalidArgumentError('expected 5 or 10');
}
