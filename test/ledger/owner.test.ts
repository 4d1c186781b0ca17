// An owner's request by the command line, over HTTP and through the operator's socket.

import test from 'ava';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { signingKey } from '../../ledger/log/ed25519.ts';
import { main } from '../../ledger/main.ts';
import { parseSpan, parseWish } from '../../ledger/owner.ts';
import { serveLedger } from '../../ledger/server.ts';
import { auditLedger, enrolMeter, openTestLedger, temporaryDir } from '../helpers/ledger-folder.ts';
import { createMeter, digest } from '../helpers/meter.ts';

async function run(...words: string[]): Promise<{ code: number; out: string }> {
  let out = '';
  const sink = new Writable({
    write(chunk, _, done) {
      out += String(chunk);
      done();
    },
  });
  return { code: await main(words, { stdout: sink, stderr: sink }), out };
}

test('asked, granted, refused; erased by the operator while the ledger serves', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(join(dir, 'ledger'));
  const { port, close } = await serveLedger(ledger, { port: 0 });
  const url = `http://127.0.0.1:${port}`;
  const meter = createMeter('alice');
  const seed = Buffer.from(digest('owner')).toString('hex');
  const owner = signingKey(digest('owner'));
  const change = (terms: Map<number, unknown>): void => void terms.set(10, owner.publicKey);
  await enrolMeter(ledger, meter, { change });
  for (let i = 0; i < 3; i++) await ledger.submitBatch(meter.batch(meter.records(1)));
  const [key, other] = ['owner', 'other'].map((name) => join(dir, name));
  writeFileSync(key, `${seed}\n`);
  writeFileSync(other, `${'0'.repeat(64)}\n`);
  const ask = (file: string, ...wish: string[]): ReturnType<typeof run> =>
    run('ask', meter.idHex, '--ledger', url, '--key', file, ...wish);

  const changed = await ask(key, '--publish', 'none');
  t.is(changed.out, 'Done: entry 5.\n');
  t.is(ledger.state().meter(meter.id)!.publish, 0);
  const stranger = await ask(other, '--publish', 'day');
  t.is(stranger.code, 1);
  t.regex(stranger.out, /403.*not-owner/s);
  // The ledger's clock stands still: the same request again, then another under the same number.
  t.is((await ask(key, '--publish', 'none')).out, 'Done: entry 5.\n');
  const again = await ask(key, '--publish', 'day');
  t.regex(again.out, /409.*old-request/s);

  const dates = ['2026-01-11', '2026-01-12'];
  const erased = await run('erase', meter.idHex, ...dates, '--dir', join(dir, 'ledger'), '--json');
  t.deepEqual(JSON.parse(erased.out), { index: 6, batches: 2 });
  t.like((await auditLedger(ledger)).blobs, { erased: 2, missing: 0 });
  await close();
  await ledger.close();
  remove();
});

test('what is no wish is refused before anything is sent', async (t) => {
  const { dir, remove } = temporaryDir();
  t.throws(() => parseWish({}), { code: 'usage' });
  t.throws(() => parseWish({ publish: 'day', erase: ['2026-01-01', '2026-01-02'] }), { code: 'usage' });
  t.throws(() => parseWish({ publish: 'weekly' }), { code: 'usage' });
  const spans = [
    ['2026-01-01'], ['2026-01-02', '2026-01-02'], ['2026-01-02', '2026-01-01'], ['yesterday', 'today'],
    ['2026-13-01', '2026-13-02'], ['1969-01-01', '2026-01-01'],
  ];
  for (const words of spans) t.throws(() => parseSpan(words), { code: 'usage' }, words.join(' '));
  t.deepEqual(parseSpan(['2026-01-01', '2026-01-01T12:00:00+01:00']), {
    fromMs: Date.UTC(2026, 0, 1), toMs: Date.UTC(2026, 0, 1, 11),
  });
  const file = join(dir, 'key');
  writeFileSync(file, 'not a key');
  for (const path of [file, join(dir, 'none')]) {
    const words = ['--ledger', 'http://127.0.0.1:1', '--key', path, '--publish', 'day'];
    const { code, out } = await run('ask', '0123456789abcdef', ...words);
    t.is(code, 2);
    t.regex(out, /bad-owner-key/);
    t.notRegex(out, /not a key/);
  }
  writeFileSync(file, '0'.repeat(64));
  const words = ['--ledger', 'http://127.0.0.1:1', '--key', file, '--publish', 'day'];
  t.regex((await run('ask', '0123456789abcdef', ...words)).out, /unreachable/);
  t.is((await run('erase', 'alice', '2026-01-01', '2026-01-02', '--dir', dir)).code, 1);
  remove();
});
