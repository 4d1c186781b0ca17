// A ledger on a disk that is really full, or turns read-only beneath it: it refuses politely,
// acknowledges nothing that is not durable, goes on by itself when there is room, and its whole
// folder passes the audit afterwards.

import test from 'ava';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { prove } from '../helpers/killed-ledger.ts';
import { temporaryDir } from '../helpers/ledger-folder.ts';
import { system } from '../helpers/loop.ts';
import { createSmallDisk } from '../helpers/small-disk.ts';
import type { SmallDisk } from '../helpers/small-disk.ts';
import { folderOf, postBatch, serveFolder } from '../helpers/served-ledger.ts';
import type { Reporter, Served } from '../helpers/served-ledger.ts';

const SIZE_BYTES = 48 * 2 ** 20;
/** What is left of the disk while batches arrive: each lets the ledger come further. */
const LEFT_BYTES = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48].map((blocks) => blocks * 4_096);

interface Scene {
  disk: SmallDisk;
  /** The ledger's folder, inside and outside of the disk's namespace. */
  folder: string;
  reporters: Reporter[];
  serve(): Promise<Served>;
  /** What the server said of its problems. */
  said(): string;
  /** Copies the folder, which nobody serves, off the disk and proves it. */
  prove(): Promise<void>;
}

async function onDisk(
  type: 'tmpfs' | 'ext4', run: (scene: Scene) => Promise<void>,
): Promise<void> {
  const { dir, remove } = temporaryDir();
  const ready = join(dir, 'ready');
  const { reporters, policy } = await folderOf(ready, ['none', 'batch', 'hour', 'day'], 5);
  const disk = await createSmallDisk(dir, { type, sizeBytes: SIZE_BYTES });
  const [folder, outside] = [join(disk.path, 'ledger'), join(disk.outside, 'ledger')];
  cpSync(ready, outside, { recursive: true });
  // What a copy left in memory is not the ledger's to lose.
  system('sync', ['--file-system', disk.outside]);
  const stderr = new PassThrough();
  let said = '';
  stderr.on('data', (bytes) => void (said += String(bytes)));
  const running: Served[] = [];
  try {
    await run({
      disk, folder, reporters,
      async serve() {
        const served = await serveFolder(folder, { enter: disk.enter, stderr });
        running.push(served);
        return served;
      },
      said: () => said,
      async prove() {
        const copy = join(dir, 'copy');
        cpSync(outside, copy, { recursive: true });
        await prove(copy, reporters, policy);
      },
    });
  } finally {
    for (const { child, kill } of running) if (child.exitCode === null) await kill();
    await disk.remove();
    remove();
  }
}

/** All report at once until each has been acknowledged, or refused; how many were acknowledged. */
async function reportAll(url: string, reporters: Reporter[]): Promise<number> {
  const acked = await Promise.all(reporters.map(({ report }) => report(url)));
  return acked.filter(Boolean).length;
}

for (const type of ['tmpfs', 'ext4'] as const) {
  test.serial(`a full ${type}: refused, nothing lost, taken when there is room`, (t) =>
    onDisk(type, async ({ disk, reporters, serve, said, prove: proveAll }) => {
    const { url, stop } = await serve();
    t.is(await reportAll(url, reporters), 4);
    let refused = 0;
    for (const leftBytes of LEFT_BYTES) {
      disk.fill(leftBytes);
      for (let round = 0; round < 2; round++) refused += 4 - await reportAll(url, reporters);
      t.is((await fetch(`${url}checkpoint`)).status, 200, 'what is public can still be read');
      t.is((await fetch(url)).status, 200);
      disk.empty();
      t.is(await reportAll(url, reporters), 4, `after ${leftBytes} bytes were left`);
    }
    t.true(refused >= 4 * LEFT_BYTES.length / 2, `${refused} refused`);
    t.regex(said(), /error\[disk-full\][^]*hint/);
    await stop();
    await proveAll();
  }));
}

test.serial('nobody is told anything under a key while the disk is full', (t) =>
  onDisk('tmpfs', async ({ disk, reporters, serve }) => {
  const { url, stop } = await serve();
  disk.fill(0);
  await reportAll(url, reporters);
  const [{ agent, latest }] = reporters;
  const answer = await postBatch(url, agent, latest()!);
  t.is(answer?.status, 503);
  t.is(answer?.headers['content-type'], 'application/problem+json');
  t.true(Number(answer?.headers['retry-after']) > 0);
  const said = JSON.parse(Buffer.from(answer!.body).toString()) as object;
  t.like(said, { type: 'urn:commons-kit:try-later', status: 503 });
  disk.empty();
  await stop();
}));

test.serial('started on a full disk it says so, and starts when there is room', (t) =>
  onDisk('tmpfs', async ({ disk, reporters, serve, prove: proveAll }) => {
  disk.fill(0);
  await t.throwsAsync(serve(), { message: /disk-full/ });
  disk.empty();
  const { url, stop } = await serve();
  t.is(await reportAll(url, reporters), 4);
  await stop();
  await proveAll();
}));

test.serial('killed on a full disk, it has lost nothing that it acknowledged', (t) =>
  onDisk('ext4', async ({ disk, reporters, serve, prove: proveAll }) => {
  for (const leftBytes of LEFT_BYTES.slice(0, 8)) {
    const { url, kill } = await serve();
    t.is(await reportAll(url, reporters), 4);
    disk.fill(leftBytes);
    await reportAll(url, reporters);
    await kill();
    disk.empty();
  }
  await proveAll();
}));

test.serial('a file system that turns read-only: refused, and taken after it was mended', (t) =>
  onDisk('ext4', async ({ disk, reporters, serve, said, prove: proveAll }) => {
  const { url, kill } = await serve();
  t.is(await reportAll(url, reporters), 4);
  disk.turnReadOnly();
  for (let round = 0; round < 3; round++) t.is(await reportAll(url, reporters), 0);
  t.is((await fetch(`${url}checkpoint`)).status, 200);
  t.regex(said(), /error\[disk-read-only\]/);
  await kill();
  await t.throwsAsync(serve(), { message: /"code":"disk-/ });
  disk.mend();
  const again = await serve();
  t.is(await reportAll(again.url, reporters), 4);
  await again.stop();
  await proveAll();
}));
