// A ledger out of file descriptors: it refuses politely, and goes on when there are some again.

import test from 'ava';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Agent } from 'node:http';
import { PassThrough } from 'node:stream';
import { prove } from '../helpers/killed-ledger.ts';
import { temporaryDir } from '../helpers/ledger-folder.ts';
import { folderOf, postBatch, serveFolder } from '../helpers/served-ledger.ts';

/** Over what a ledger that has verified its first batch holds anyhow. */
const SPARE = 20;

test('descriptors that idle connections have taken: refused, and taken when they are gone', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const { reporters, policy } = await folderOf(dir, ['none', 'batch'], 5);
  const probe = await serveFolder(dir);
  const [alice, bob] = reporters;
  t.true(await alice.report(probe.url));
  const most = readdirSync(`/proc/${probe.child.pid}/fd`).length + SPARE;
  await probe.stop();

  const stderr = new PassThrough();
  let said = '';
  stderr.on('data', (bytes) => void (said += String(bytes)));
  const limited = (words: string[]): string[] =>
    ['sh', '-c', `ulimit -n ${most} && exec "$@"`, 'sh', ...words];
  const { url, child, stop, kill } = await serveFolder(dir, { enter: limited, stderr });
  t.teardown(() => (child.exitCode === null ? kill() : undefined));
  t.true(await alice.report(url));
  // This one has its connection already.
  const agent = new Agent({ keepAlive: true });
  const post = async (by: Agent, body: Uint8Array): Promise<number | undefined> =>
    (await postBatch(url, by, body))?.status;
  t.is(await post(agent, new Uint8Array(1)), 422);

  const { port } = new URL(url);
  const idle: Socket[] = [];
  for (let i = 0; i < most; i++) {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => {});
    idle.push(socket);
    await once(socket, 'connect');
  }
  const batch = bob.meter.batch();
  t.is(await post(agent, batch), 503);
  t.regex(said, /error\[too-many-files\]/);
  agent.destroy();
  for (const socket of idle) socket.destroy();
  // The server hears of each that is gone in its own time.
  let taken: number | undefined;
  while (taken === undefined) taken = await post(new Agent(), batch);
  t.is(taken, 200);
  t.true(await alice.report(url));
  await stop();
  // Bob's was posted past his reporter: the log may hold one more than he knows of.
  await prove(dir, reporters, policy);
});
