// The writer killed as processes are: SIGKILL in the middle of a transfer, a hundred times, on files
// that are treated as block devices and as what they are. With the root tests for its minutes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { inLanes } from '../../../provisioner/drive/blocks.ts';
import { fillSeeded, makeTinyImage, tinyImage, type TinyImage } from '../../helpers/tiny-image.ts';
import { writeToFile } from '../../helpers/write-and-die.ts';

const mib = 1 << 20;
const page = 4096;
const driveBytes = 20 * mib;
const old = Buffer.alloc(driveBytes);
fillSeeded(old, 77);

test('killed at a hundred random moments it never boots, and goes on each time', async (t) => {
  t.timeout(300_000);
  const seed = Number(process.env['KILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`KILL_SEED=${seed}`);
  const random = moments(seed);
  // In memory where that can be: a busy disk would take minutes for a hundred drives.
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'kit-kill-'));
  const image = makeTinyImage(dir);
  const counted = { block: 0, file: 0 };
  let wanted = Buffer.alloc(0);
  const tally = { untouched: 0, dead: 0, whole: 0, resumed: 0 };

  async function run(drive: string, kind: 'block' | 'file', moment: number): Promise<void> {
    writeFileSync(drive, kind === 'block' ? old : '');
    const args = [deadly, image.path, drive, kind, String(moment)];
    const { signal, stdout } = await spawned(args);
    if (moment === 0) {
      counted[kind] = Number(stdout);
      wanted = outsideEsp(readFileSync(drive));
      return;
    }
    // Saving hangs on timing: a moment near the end may come after it.
    if (signal === null) t.true(Number(stdout) < moment, stdout);
    else t.is(signal, 'SIGKILL');
    const found = readFileSync(drive);
    if (isWhole(found, image)) tally.whole++;
    else if (kind === 'block' && found.equals(old)) tally.untouched++;
    else {
      // An empty file has no first page at all.
      const first = Buffer.concat([found.subarray(0, page), Buffer.alloc(page)]).subarray(0, page);
      t.true(first.equals(Buffer.alloc(page)), `${kind}, transfer ${moment}: it might boot`);
      tally.dead++;
    }
    const { resumedAtBytes } = await writeToFile({ image: image.path, drive, kind, sizeBytes: driveBytes });
    if (resumedAtBytes > 0) tally.resumed++;
    const ended = readFileSync(drive);
    t.true(isWhole(ended, image), `${kind}, transfer ${moment}`);
    if (kind === 'file') t.true(outsideEsp(ended).equals(wanted), `${kind}, transfer ${moment}`);
  }

  try {
    for (const kind of ['block', 'file'] as const) await run(join(dir, 'counted'), kind, 0);
    await inLanes([...Array(100).keys()], async (index) => {
      const kind = index % 2 === 0 ? 'block' : 'file';
      const drive = join(dir, `drive${index}`);
      await run(drive, kind, 1 + Math.floor(random() * counted[kind]));
      rmSync(drive);
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
  t.log(JSON.stringify({ ...tally, transfers: counted }));
  t.true(tally.dead > 50 && tally.resumed > 20, JSON.stringify(tally));
});

const deadly = fileURLToPath(new URL('../../helpers/write-and-die.ts', import.meta.url));

/** mulberry32, public domain. */
function moments(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** mtools writes the time of day into the partition's folders: that alone may differ. */
function outsideEsp(drive: Buffer): Buffer<ArrayBuffer> {
  const { offsetBytes, sizeBytes } = tinyImage.esp;
  return Buffer.concat([drive.subarray(0, offsetBytes), drive.subarray(offsetBytes + sizeBytes)]);
}

async function spawned(args: string[]): Promise<{ signal: string | null; stdout: string }> {
  // A hundred processes that start alike: what they compile is kept for the next.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'kit-kill-compiled') };
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  let stdout = '';
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { signal, stdout };
}

function isWhole(found: Buffer, { raw, manifest }: TinyImage): boolean {
  const { offsetBytes, sizeBytes } = tinyImage.esp;
  const espEnd = offsetBytes + sizeBytes;
  const outside = (at: number, size: number) => at + size <= offsetBytes || at >= espEnd;
  return manifest.ranges
    .flatMap(([at, size]) => cutAt(at, size, [offsetBytes, espEnd]))
    .filter(([at, size]) => outside(at, size))
    .every(([at, size]) => found.subarray(at, at + size).equals(raw.subarray(at, at + size)));
}

function cutAt(at: number, size: number, cuts: number[]): [at: number, size: number][] {
  const edges = [at, ...cuts.filter((cut) => cut > at && cut < at + size), at + size];
  return edges.slice(1).map((edge, index) => [edges[index], edge - edges[index]]);
}
