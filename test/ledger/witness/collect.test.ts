// Three ledgers on one machine, each witnessed by the two others, over HTTP. Then one turns evil:
// it forks, it rolls back, and whoever trusts a quorum is not fooled.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { audit } from '../../../ledger/audit/audit.ts';
import { folderFiles } from '../../../ledger/audit/source.ts';
import { LedgerError } from '../../../ledger/errors.ts';
import type { Ledger } from '../../../ledger/ledger.ts';
import { formatCheckpoint } from '../../../ledger/log/checkpoint.ts';
import { formatNote, parseVkey, signNote } from '../../../ledger/log/note.ts';
import { parsePolicy, verifyCheckpoint } from '../../../ledger/log/policy.ts';
import type { Policy } from '../../../ledger/log/policy.ts';
import type { Collector, Outcome } from '../../../ledger/witness/collect.ts';
import { createCollector, witnessesOf } from '../../../ledger/witness/collect.ts';
import { formatAddCheckpoint } from '../../../ledger/witness/request.ts';
import { serveWitness } from '../../../ledger/witness/serve.ts';
import type { Witness } from '../../../ledger/witness/witness.ts';
import { openWitness } from '../../../ledger/witness/witness.ts';
import { openTestLedger, temporaryDir } from '../../helpers/ledger-folder.ts';
import { digest } from '../../helpers/meter.ts';

const NAMES = ['ash', 'birch', 'cedar'] as const;
const NOW_S = 1_800_000_000;

interface Party {
  name: string;
  dir: string;
  ledger: Ledger;
  witness: Witness;
  url: string;
  /** Trusts this ledger's key and wants both others' cosignatures. */
  policy: Policy;
  collector: Collector;
}

/** A ledger that closes with the test, unless it is closed before. */
async function opened(t: ExecutionContext, dir: string, origin?: string): Promise<Ledger> {
  const ledger = await openTestLedger(dir, { origin });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= ledger.close());
  t.teardown(close);
  return { ...ledger, close };
}

/** Everybody's ledger and witness, told of each other. */
async function village(t: ExecutionContext): Promise<Party[]> {
  const scene = temporaryDir();
  t.teardown(scene.remove);
  const ledgers: Ledger[] = [];
  for (const name of NAMES) {
    const dir = join(scene.dir, name);
    ledgers.push(await opened(t, dir, `${name}.example/commons`));
  }
  const logs = ledgers.map((ledger) => parseVkey(ledger.log().vkey));
  const hosts = await Promise.all(NAMES.map(async (name) => {
    const dir = join(scene.dir, `${name}-witness`);
    const witness = openWitness({
      dir, name: `${name}.example/witness`, logs, nowS: () => NOW_S,
    });
    const { port, close } = await serveWitness(witness, { port: 0 });
    t.teardown(async () => {
      await close();
      witness.close();
    });
    return { witness, url: `http://127.0.0.1:${port}/` };
  }));
  return NAMES.map((name, i) => {
    const ledger = ledgers[i];
    const others = NAMES.flatMap((other, at) =>
      at === i ? [] : [`witness ${other} ${hosts[at].witness.vkey} ${hosts[at].url}`]);
    const rest = [`group both all ${NAMES.filter((other) => other !== name).join(' ')}`];
    const lines = [`log ${ledger.log().vkey}`, ...others, ...rest, 'quorum both', ''];
    const policy = parsePolicy(Buffer.from(lines.join('\n')));
    const collector = createCollector(ledger.log, witnessesOf(policy));
    return { name, dir: join(scene.dir, name), ledger, ...hosts[i], policy, collector };
  });
}

const grow = async (ledger: Ledger, ...names: string[]): Promise<void> => {
  await Promise.all(names.map((name) => ledger.admit(digest(name))));
};

const codes = (outcomes: Outcome[]): (string | undefined)[] =>
  outcomes.map(({ error }) => (error as LedgerError | undefined)?.code);

test('each ledger bears the cosignatures of the two others, and passes their quorum', async (t) => {
  const parties = await village(t);
  for (const [rounds, { ledger }] of parties.entries()) {
    await grow(ledger, ...Array.from({ length: 300 * rounds + 1 }, (_, i) => `volunteer ${i}`));
  }
  for (const round of ['first', 'again', 'grown']) {
    for (const { ledger, policy, collector } of parties) {
      if (round === 'grown') await grow(ledger, 'one more', 'and another');
      t.deepEqual(codes(await collector.collect()), [undefined, undefined]);
      const { cosignedBy, note } = verifyCheckpoint(ledger.log().checkpoint(), policy);
      t.is(cosignedBy.length, 2);
      t.is(note.signatures.length, 3, 'a cosignature made again takes the place of the first');
      const report = await audit(folderFiles(ledger.store.publicDir), { policy });
      t.deepEqual(report.findings, []);
      t.is(report.cosignedBy.length, 2);
    }
  }
  for (const { witness } of parties) {
    t.is(witness.heads().length, 2);
    t.deepEqual(witness.evidence(), []);
  }
});

test('a ledger goes on with its cosigned checkpoint after a restart', async (t) => {
  const [{ ledger, collector, dir, policy }] = await village(t);
  await grow(ledger, 'one');
  await collector.collect();
  await ledger.close();
  const again = await opened(t, dir);
  t.is(verifyCheckpoint(again.log().checkpoint(), policy).cosignedBy.length, 2);
});

test('a copy put back is refused by the witnesses, and says so before it signs', async (t) => {
  const [{ ledger, collector, dir, policy }, ...others] = await village(t);
  await grow(ledger, 'one', 'two');
  await collector.collect();
  await ledger.close();
  const [fresh, old] = [`${dir}-fresh`, `${dir}-old`];
  for (const copy of [fresh, old]) cpSync(dir, copy, { recursive: true });

  // A restored copy that is the newest goes on, and its witnesses agree.
  const restored = await opened(t, fresh);
  const witnesses = witnessesOf(policy);
  const ask = (one: Ledger): Promise<Outcome[]> => createCollector(one.log, witnesses).collect();
  t.deepEqual(codes(await ask(restored)), [undefined, undefined]);
  await grow(restored, 'three');
  t.deepEqual(codes(await ask(restored)), [undefined, undefined]);

  // One that is older does not.
  const rolledBack = await opened(t, old);
  t.deepEqual(codes(await ask(rolledBack)), ['witness-disagrees', 'witness-disagrees']);
  // Grown to the same size, then beyond: another history.
  await grow(rolledBack, 'four');
  t.deepEqual(codes(await ask(rolledBack)), ['witness-disagrees', 'witness-disagrees']);
  await grow(rolledBack, 'five');
  t.deepEqual(codes(await ask(rolledBack)), ['witness-disagrees', 'witness-disagrees']);
  t.throws(() => verifyCheckpoint(rolledBack.log().checkpoint(), policy), { code: 'no-quorum' });
  for (const { witness } of others) {
    t.deepEqual(witness.evidence().map(({ kind }) => kind), ['rollback', 'fork', 'inconsistent']);
    t.is(witness.heads()[0].size, 3, 'what was cosigned stands');
  }
});

test('an evil ledger that shows two faces gets one cosigned, and leaves proof of the other', async (t) => {
  const [evil, birch, cedar] = await village(t);
  await grow(evil.ledger, 'one', 'two', 'three');
  t.deepEqual(codes(await evil.collector.collect()), [undefined, undefined]);
  const { origin, logSeed: seed } = evil.ledger.store.keys;
  const text = formatCheckpoint({ origin, size: 3, root: digest('other'), extensions: [] });
  const checkpoint = formatNote(signNote(text, origin, seed));
  for (const { url, witness } of [birch, cedar]) {
    const body = formatAddCheckpoint({ oldSize: 3, proof: [], checkpoint });
    const response = await fetch(`${url}add-checkpoint`, { method: 'POST', body });
    t.is(response.status, 409);
    t.is(response.headers.get('content-type'), 'text/x.tlog.size');
    t.is(await response.text(), '3\n');
    const [{ kind, known, submitted, atS }] = witness.evidence();
    t.is(kind, 'fork');
    t.is(atS, NOW_S);
    // Both halves stand on the evil log's own signature: anybody may check.
    const key = `log ${evil.ledger.log().vkey}\nquorum none\n`;
    const trusting = parsePolicy(Buffer.from(key));
    const heads = [known, submitted.slice(submitted.indexOf('\n\n') + 2)]
      .map((note) => verifyCheckpoint(Buffer.from(note), trusting));
    t.deepEqual(heads.map(({ size }) => size), [3, 3]);
    t.notDeepEqual(heads[0].root, heads[1].root);
    const shown = (await (await fetch(`${url}evidence`)).json()) as { evidence: unknown[] };
    t.is(shown.evidence.length, 1);
  }
});

test('a witness that is gone, slow to know us, or lies costs its own cosignature alone', async (t) => {
  const [{ ledger, policy }, birch] = await village(t);
  await grow(ledger, 'one');
  const [first, second] = witnessesOf(policy);
  t.is(first.name, birch.name);
  const gone = { ...second, url: 'http://127.0.0.1:1/' };
  const mistaken = { ...second, url: first.url };
  for (const other of [gone, mistaken]) {
    const outcomes = await createCollector(ledger.log, [first, other]).collect();
    t.is(outcomes[0].error, undefined);
    t.truthy(outcomes[1].error);
  }
  const single = parsePolicy(Buffer.from(
    `log ${ledger.log().vkey}\nwitness w ${birch.witness.vkey}\nquorum w\n`));
  t.deepEqual(verifyCheckpoint(ledger.log().checkpoint(), single).cosignedBy, ['w']);
});

test('appends and cosignatures at once never take the checkpoint back', async (t) => {
  const [{ ledger, collector }] = await village(t);
  const asked: Promise<Outcome[]>[] = [];
  ledger.onAppend(() => asked.push(collector.collect()));
  for (let i = 0; i < 20; i++) await grow(ledger, `volunteer ${i}`);
  const failures = (await Promise.all(asked)).flatMap(codes).filter((code) => code !== undefined);
  t.deepEqual(failures, []);
  await collector.collect();
  t.is(ledger.log().size(), 20);
  const published = await folderFiles(ledger.store.publicDir).read('checkpoint');
  t.deepEqual(Buffer.from(published!), Buffer.from(ledger.log().checkpoint()));
});
