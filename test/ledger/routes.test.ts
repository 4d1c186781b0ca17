// What the routes tell a stranger and a meter of a key that signed twice, whatever becomes of the
// ledger's folder.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import { join } from 'node:path';
import { decodeMac0, decodeReply, REPLY } from '../../firmware/wire.ts';
import type { Reply } from '../../firmware/wire.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { ledgerRoutes } from '../../ledger/routes.ts';
import { blobPath } from '../../ledger/store.ts';
import {
  auditLedger, createClock, enrolMeter, openTestLedger, temporaryDir,
} from '../helpers/ledger-folder.ts';
import { createMeter, digest } from '../helpers/meter.ts';

const REFUSED = { status: 422, reply: { kind: REPLY.invalid, entryIndex: 0 } };
const REPEATED = { status: 200, reply: { kind: REPLY.repeated, entryIndex: 2 } };
const ALWAYS = { fromMs: 0, toMs: 9e15 };

/** Asks the ledger's routes as a stranger and a meter do. */
async function ask(ledger: Ledger, path: string, batch?: Uint8Array): Promise<Response> {
  const routes = ledgerRoutes(ledger, {
    limits: LIMITS, addressOf: () => 'here', nowMs: () => 0, onProblem(error) { throw error; },
  });
  if (batch === undefined) return routes.request(path);
  const headers = { 'Content-Type': 'application/cose', 'Commons-Nonce': 'a1'.repeat(16) };
  return routes.request(path, { method: 'POST', headers, body: new Uint8Array(batch) });
}

async function post(
  ledger: Ledger, batch: Uint8Array,
): Promise<{ status: number; reply: Reply<Uint8Array> }> {
  const response = await ask(ledger, '/v1/batches', batch);
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, reply: decodeReply(decodeMac0(body).payload) };
}

async function tellsThePublic(
  t: ExecutionContext, ledger: Ledger, [taken, second]: [Uint8Array, Uint8Array],
): Promise<void> {
  for (const batch of [taken, second]) {
    const blob = await ask(ledger, `/${blobPath(digest(batch))}`);
    t.deepEqual(new Uint8Array(await blob.arrayBuffer()), batch);
  }
  t.like(await post(ledger, taken), REPEATED);
  t.like(await post(ledger, second), REFUSED);
  const { findings, equivocations, nodes: [{ revoked }] } = await auditLedger(ledger);
  t.deepEqual(findings, []);
  t.like(equivocations, [{ q: 5 }]);
  t.true(revoked);
}

test('evidence outlasts start, rebuild, erasure and backup; it is never acknowledged', async (t) => {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  const live = join(dir, 'live');
  let ledger = await openTestLedger(live, { clock });
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter, { publish: 0 });
  const taken = meter.batch(meter.records(1), { q: 5 });
  for (const batch of [taken, meter.batch(), meter.batch()]) await ledger.submitBatch(batch);
  const second = meter.batch(meter.records(1), { q: 5 });
  t.like(await post(ledger, second), REFUSED);
  await tellsThePublic(t, ledger, [taken, second]);
  for (const freshProjections of [false, true]) {
    await ledger.close();
    ledger = await openTestLedger(live, { clock, freshProjections });
    await tellsThePublic(t, ledger, [taken, second]);
  }
  t.is((await ledger.erase(meter.id, ALWAYS)).batches, 1, 'neither the evidence nor the last one');
  await tellsThePublic(t, ledger, [taken, second]);
  await ledger.backUp(join(dir, 'copy'));
  await ledger.close();
  const restored = await openTestLedger(join(dir, 'copy'), { clock });
  await tellsThePublic(t, restored, [taken, second]);
  await restored.close();
  remove();
});

test('a peer that goes in mid-post is none of the operator’s business', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const problems: unknown[] = [];
  const routes = ledgerRoutes(ledger, {
    limits: LIMITS, addressOf: () => 'here', nowMs: () => 0, onProblem: (error) => problems.push(error),
  });
  const headers = { 'Content-Type': 'application/cose', 'Commons-Nonce': 'a1'.repeat(16) };
  for (const path of ['/v1/batches', '/v1/kits', '/v1/prices']) {
    const body = new ReadableStream({
      pull: (stream) => stream.error(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })),
    });
    const init = { method: 'POST', headers, body, duplex: 'half' as const };
    t.is((await routes.request(path, init)).status, 400, path);
  }
  t.deepEqual(problems, []);
  await ledger.close();
  remove();
});

test('what may be erased is not for caches to keep; what cannot change is', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter, { publish: 1 });
  const batch = meter.batch();
  await ledger.submitBatch(batch);
  const kept = async (path: string): Promise<string | null> =>
    (await ask(ledger, path)).headers.get('Cache-Control');
  t.is(await kept(`/${blobPath(digest(batch))}`), 'public, max-age=3600');
  t.is(await kept('/checkpoint'), 'no-cache');
  t.is(await kept('/tile/0/000.p/3'), 'public, max-age=60');
  await Promise.all(Array.from({ length: 256 }, (_, i) => ledger.admit(digest(`${i}`))));
  t.is(await kept('/tile/0/000'), 'public, max-age=31536000, immutable');
  await ledger.close();
  remove();
});
