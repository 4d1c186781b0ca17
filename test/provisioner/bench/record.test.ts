import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';

import test, { type ExecutionContext } from 'ava';

import { openBench, type Detail } from '../../../provisioner/bench/record.ts';
import { KitError } from '../../../provisioner/errors.ts';

const withFolder = test.macro(
  async (t, body: (t: ExecutionContext, dir: string) => Promise<void> | void) => {
    const dir = mkdtempSync(join(tmpdir(), 'kit-record-'));
    try {
      await body(t, dir);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

test('a kit is traced from its first step to its last', withFolder, (t, dir) => {
  let nowMs = 1000;
  const record = openBench(dir, { now: () => nowMs++ });
  record.start('alice', 'flash', { drive: '/dev/sdb' });
  record.done('alice', 'flash', { serial: 'X1', ranges: [1, 2], deep: { ok: true, none: null } });
  record.start('alice', 'boot');
  record.start('bob', 'flash');
  const failure = new KitError({ code: 'boot-late', message: 'Too late', got: '300 s' });
  record.fail('alice', 'boot', failure);
  record.fail('bob', 'flash', new TypeError('odd'));
  t.deepEqual(
    record.history('alice').map(({ step, status, atMs }) => [step, status, atMs]),
    [['flash', 'started', 1000], ['flash', 'done', 1001], ['boot', 'started', 1002],
      ['boot', 'failed', 1004]],
  );
  t.deepEqual(record.latest('alice', 'boot')?.detail, failure.toJSON());
  t.deepEqual(record.latest('bob', 'flash')?.detail, { code: 'unexpected', message: 'odd' });
  t.is(record.latest('carol', 'flash'), undefined);
  record.start('alice', 'flash');
  t.is(record.latest('alice', 'flash')?.status, 'started');
  t.is(record.lastDone('alice', 'flash')?.detail['serial'], 'X1');
  const flashed = record.ofStep('flash').map(({ kit }) => kit);
  t.deepEqual(flashed, ['alice', 'alice', 'bob', 'bob', 'alice']);
  record.close();

  const again = openBench(dir, { now: () => 0 });
  t.is(again.history('alice').length, 5);
  again.close();
});

test('what looks like a secret is refused, without repeating it', withFolder, (t, dir) => {
  const record = openBench(dir, { now: () => 0 });
  const pem = '-----BEGIN OPENSSH PRIVATE KEY-----';
  const details: Detail[] = [
    { pairingKey: 'hush' },
    { pairing_key: 'hush' },
    { owner: { passphrase: 'hush' } },
    { tls: [{ keyPem: 'hush' }] },
    { sshPrivateKey: 'hush' },
    { clientSecret: 'hush' },
    { enrolNonce: 'hush' },
    { note: pem },
    { note: 'AGE-SECRET-KEY-1HUSH' },
  ];
  for (const detail of details) {
    const error = t.throws(() => record.done('alice', 'x', detail), { instanceOf: TypeError });
    t.notRegex(error.message, /hush/i);
  }
  t.throws(() => record.done('alice', 'x', { text: 'x'.repeat(70_000) }), { message: /at most/ });
  t.deepEqual(record.history('alice'), []);
  record.done('alice', 'pair', { meter: 'ab', meterKey: 'cd', hostKeyFingerprint: 'SHA256:e' });
  record.close();
});

test('a newer record, and a file that is none, are left alone', withFolder, (t, dir) => {
  openBench(dir, { now: () => 0 }).close();
  const db = new DatabaseSync(join(dir, 'bench.db'));
  db.exec('PRAGMA user_version = 99');
  db.close();
  const newer = t.throws(() => openBench(dir, { now: () => 0 }), { instanceOf: KitError });
  t.is(newer.code, 'bench-newer');

  const other = join(dir, 'other');
  const absent = t.throws(() => openBench(other, { now: () => 0 }), { instanceOf: KitError });
  t.is(absent.code, 'bench-unwritable');
  writeFileSync(join(dir, 'bench.db'), 'no database at all, but long enough to be read as one');
  const torn = t.throws(() => openBench(dir, { now: () => 0 }), { instanceOf: KitError });
  t.is(torn.code, 'bench-broken');
});

test('a record that another program holds is busy, not bad, at opening and at each write', withFolder, (t, dir) => {
  const deps = { now: () => 0, lockWaitMs: 0 };
  const record = openBench(dir, deps);
  const other = new DatabaseSync(join(dir, 'bench.db'));
  other.exec('BEGIN IMMEDIATE');
  const asked = [() => openBench(dir, deps), () => record.start('alice', 'flash')];
  for (const ask of asked) {
    const error = t.throws(ask, { instanceOf: KitError });
    t.is(error.code, 'bench-busy');
    t.regex(error.got!, /locked/);
  }
  other.exec('ROLLBACK');
  other.close();
  record.start('alice', 'flash');
  t.is(record.history('alice').length, 1);
  record.close();
});

test('several at once lose nothing', withFolder, async (t, dir) => {
  const workers = ['a', 'b', 'c', 'd'].map((kit) => write(dir, kit, 50));
  await Promise.all(workers);
  const record = openBench(dir, { now: () => 0 });
  for (const kit of ['a', 'b', 'c', 'd']) {
    t.deepEqual(
      record.history(kit).map(({ detail }) => detail['n']),
      Array.from({ length: 50 }, (_, n) => n),
    );
  }
  record.close();
});

/** A thread of its own, with a connection of its own, that opens the record as the others do. */
async function write(dir: string, kit: string, count: number): Promise<void> {
  const source = new URL('../../../provisioner/bench/record.ts', import.meta.url).href;
  const code = `
    const { openBench } = await import(${JSON.stringify(source)});
    const record = openBench(${JSON.stringify(dir)}, { now: () => 0 });
    for (let n = 0; n < ${count}; n++) record.done(${JSON.stringify(kit)}, 'flash', { n });
    record.close();`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.on('error', reject);
  worker.on('exit', () => resolve());
  await promise;
}
