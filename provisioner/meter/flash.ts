// Writes meters: any number of boards at once, each at its own pace, each failing alone. Everything
// is made and checked before the first board is touched; what a board has already stays, so the same
// words said again finish what was cut off. What was learned stands in bench.db.

import { createHash } from 'node:crypto';
import type { BenchRecord, Detail } from '../bench/record.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { compileBoard, findBoard, type Board } from './board.ts';
import type { Firmware } from './build.ts';
import { composeFlash } from './flash-image.ts';
import { meetBoard, ROM_BAUD, type FlashPart } from './rom-loader.ts';
import { openRuntime, type Runtime, type RuntimeDeps } from './runtime.ts';
import { openSerialLine, type SetModemLines } from './serial-line.ts';

export interface MeterJob {
  kit: Kit;
  /** Path of a serial port. */
  port: string;
}

export interface FlashMeterOptions {
  /** A name in hardware/pins.json. */
  board: string;
  baud: number;
  stub: boolean;
  reset: boolean;
}

export interface FlashMeterDeps extends RuntimeDeps {
  record: BenchRecord;
  firmware: Firmware;
  setModemLines: SetModemLines;
  say: (event: { kit: string; part: string; doneBytes: number; totalBytes: number }) => void;
}

export interface FlashedMeter {
  kit: string;
  port: string;
  mac: string;
  board: string;
  runtime: { version: string; sha256: string };
  firmware: string;
  /** MD5 of each part, as the board reckoned it from its flash. */
  parts: { name: string; address: number; sizeBytes: number; md5: string }[];
  /** 0: all of it was there. */
  writtenBytes: number;
}

/**
 * Resolves when every board is done, or has failed.
 * @throws KitError the only failure, or `meters-failed` naming all; those of what is made before
 */
export async function flashMeters(
  jobs: MeterJob[],
  options: FlashMeterOptions,
  deps: FlashMeterDeps,
): Promise<FlashedMeter[]> {
  refuseTwice(jobs);
  const board = await findBoard(options.board);
  const runtime = await openRuntime(board.arch, deps);
  const parts = await composeFlash({
    ...{ runtime: runtime.bytes, bytecode: deps.firmware.bytecode },
    board: await compileBoard(board),
  });
  const outcomes = await Promise.allSettled(
    jobs.map((job) => flashRecorded(job, { options, deps, board, runtime, parts })),
  );
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  if (failures.length === 0) return outcomes.map((outcome) => (outcome as { value: FlashedMeter }).value);
  if (jobs.length === 1) throw failures[0]!.reason;
  throw allFailures(jobs, outcomes);
}

interface Means {
  options: FlashMeterOptions;
  deps: FlashMeterDeps;
  board: Board;
  runtime: Runtime;
  parts: FlashPart[];
}

async function flashRecorded(job: MeterJob, means: Means): Promise<FlashedMeter> {
  const { record } = means.deps;
  const kit = job.kit.name;
  record.start(kit, 'meter-flash', { port: job.port, board: means.options.board });
  try {
    const flashed = await flashMeter(job, means);
    record.done(kit, 'meter-flash', flashed as unknown as Detail);
    return flashed;
  } catch (error) {
    record.fail(kit, 'meter-flash', error);
    throw error;
  }
}

async function flashMeter({ kit, port }: MeterJob, means: Means): Promise<FlashedMeter> {
  const { options, deps, board, runtime, parts } = means;
  const line = await openSerialLine(port, ROM_BAUD, deps);
  try {
    const met = await meetBoard(line, { ...options, chip: board.chip });
    let writtenBytes = 0;
    for (const part of parts) {
      writtenBytes += await met.write(part, (doneBytes) =>
        deps.say({ kit: kit.name, part: part.name, doneBytes, totalBytes: part.bytes.length }),
      );
    }
    if (options.reset) await met.restart();
    return {
      ...{ kit: kit.name, port, mac: met.mac, board: options.board, writtenBytes },
      runtime: { version: runtime.version, sha256: runtime.sha256 },
      firmware: Buffer.from(deps.firmware.hash).toString('hex'),
      parts: parts.map(({ name, address, bytes }) => ({
        ...{ name, address, sizeBytes: bytes.length },
        md5: createHash('md5').update(bytes).digest('hex'),
      })),
    };
  } finally {
    await line.close();
  }
}

function refuseTwice(jobs: MeterJob[]): void {
  const ports = jobs.map(({ port }) => port);
  const twice = ports.find((port, index) => ports.indexOf(port) !== index);
  if (twice === undefined) return;
  throw new KitError({
    code: 'meter-port-twice',
    message: `${twice} is named for two kits`,
    ...{ expected: 'a port for each kit', got: ports.join(' ') },
    hint: 'One board, one kit.',
    exitCode: 2,
  });
}

function allFailures(jobs: MeterJob[], outcomes: PromiseSettledResult<FlashedMeter>[]): KitError {
  const failed = outcomes.flatMap((outcome, index) => {
    if (outcome.status === 'fulfilled') return [];
    const { code, message } = outcome.reason as KitError;
    return [`${jobs[index]!.kit.name}: ${code ?? 'unexpected'}, ${message}`];
  });
  return new KitError({
    code: 'meters-failed',
    message: `${failed.length} of ${jobs.length} meters could not be written`,
    ...{ expected: 'every board', got: failed.join('; '), cause: outcomes },
    hint: 'Those done are done; say the same for the others.',
  });
}
