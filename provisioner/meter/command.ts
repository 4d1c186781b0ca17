// `kit meter`: the command line of this folder.

import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { atWorkbench, type Workbench, type WorkbenchOptions } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { createOutput, type Output, type OutputOptions } from '../terminal.ts';
import { createVirtualMeter } from '../virtual/meter.ts';
import { buildFirmware, type Firmware } from './build.ts';
import { pairMeter, type Paired, type PairOptions } from './pair.ts';
import { virtualPort, type MeterPort } from './port.ts';

export function commands(): Command[] {
  return [
    new Command('meter')
      .description("the kit's meter: its firmware and its key")
      .addCommand(buildCommand())
      .addCommand(pairCommand()),
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

interface PairWords extends OutputOptions, WorkbenchOptions, Omit<PairOptions, 'firmwareHash'> {
  virtual?: string;
}

function pairCommand(): Command {
  return new Command('pair')
    .description('give a meter to a kit, and enrol its key with the ledger')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--virtual <dir>', 'a meter without hardware, which lives in that folder')
    .option('--interval-s <seconds>', 'a record is closed this often', seconds)
    .option('--batch-s <seconds>', 'a batch is sent this often', seconds)
    .option('--probe-s <seconds>', 'the node is probed this often', seconds)
    .option('--key-height <height>', '5: 32 signatures, at once; 10: 1,024, in minutes', height)
    .option('--ledger-url <url>', 'where the bench reaches the ledger, if not as the meter does')
    .action(async function (this: Command, name: string) {
      const { virtual: dir, ...options } = this.optsWithGlobals<PairWords>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async (bench, [kit]) => {
        const paired = await (dir === undefined
          ? pairAtBench(bench, kit, output)
          : pairVirtual(bench, kit, { dir, options, output }));
        const human = `meter ${paired.meter} is ${name}'s, entry ${paired.entry}`;
        output.result({ kit: name, ...paired }, human);
      });
    });
}

/**
 * Pairs the meter that is on the bench's USB lead.
 * @throws KitError `meter-absent`: this version knows no way to a board yet
 */
export async function pairAtBench(bench: Workbench, kit: Kit, _output: Output): Promise<Paired> {
  throw new KitError({
    code: 'meter-absent',
    message: `There is no meter to pair with ${kit.name}`,
    expected: 'a meter on USB, which this version cannot find yet',
    got: 'no --virtual',
    hint: `Pair a virtual one: kit meter pair ${kit.name} --virtual ${bench.campaign.dir}/meter`,
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
  options: Omit<PairOptions, 'firmwareHash'>;
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
    onPanic: (code) =>
      fail(new KitError({ code: 'meter-panic', message: 'The meter panicked', got: String(code) })),
  });
}

function seconds(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= 86_400) return Number(text);
  throw new InvalidArgumentError('expected whole seconds, from 1 to 86400');
}

function height(text: string): 5 | 10 {
  if (text === '5' || text === '10') return Number(text) as 5 | 10;
  throw new InvalidArgumentError('expected 5 or 10');
}
