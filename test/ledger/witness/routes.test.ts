// A witness over HTTP: each status of c2sp.org/tlog-witness with its body, what survives a restart,
// and bodies that no client sends.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import { formatCheckpoint } from '../../../ledger/log/checkpoint.ts';
import { cosignatureTime, verifyCosignature } from '../../../ledger/log/cosignature.ts';
import { signingKey } from '../../../ledger/log/ed25519.ts';
import {
  formatNote, parseNote, parseVkey, SIGNATURE_TYPE, signNote, verifierKey,
} from '../../../ledger/log/note.ts';
import { formatAddCheckpoint } from '../../../ledger/witness/request.ts';
import { witnessRoutes } from '../../../ledger/witness/routes.ts';
import type { Witness } from '../../../ledger/witness/witness.ts';
import { openWitness } from '../../../ledger/witness/witness.ts';
import { temporaryDir } from '../../helpers/ledger-folder.ts';
import { digest } from '../../helpers/meter.ts';

const ORIGIN = 'ash.example/commons';
const seed = digest('ash');
const logs = [verifierKey(ORIGIN, SIGNATURE_TYPE.ed25519, signingKey(seed).publicKey)];

function signed(size: number, root = digest(`root ${size}`)): Uint8Array {
  const text = formatCheckpoint({ origin: ORIGIN, size, root, extensions: [] });
  return formatNote(signNote(text, ORIGIN, seed));
}

function open(t: ExecutionContext, dir: string, name?: string): Witness {
  const witness = openWitness({ dir, name, logs, nowS: () => 1_800_000_000 });
  t.teardown(() => witness.close());
  return witness;
}

async function post(witness: Witness, body: Uint8Array): Promise<Response> {
  const problems: unknown[] = [];
  const app = witnessRoutes(witness, {
    rate: { burst: 100, perS: 1 }, nowMs: () => 0, addressOf: () => 'test',
    onProblem: (error) => problems.push(error),
  });
  const response = await app.request('/add-checkpoint', { method: 'POST', body });
  if (problems.length > 0) throw problems[0];
  return response;
}

const request = (oldSize: number, checkpoint: Uint8Array): Uint8Array =>
  formatAddCheckpoint({ oldSize, proof: [], checkpoint });

test('statuses and bodies', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const witness = open(t, dir, 'birch.example/witness');
  const accepted = await post(witness, request(0, signed(4)));
  t.is(accepted.status, 200);
  const line = await accepted.text();
  t.regex(line, /^— birch\.example\/witness \S+\n$/);
  const { text } = parseNote(signed(4));
  const [{ signature }] = parseNote(Buffer.from(`${text}\n${line}`)).signatures;
  t.true(verifyCosignature(parseVkey(witness.vkey), text, signature));

  const conflict = await post(witness, request(0, signed(6)));
  t.is(conflict.status, 409);
  t.is(conflict.headers.get('content-type'), 'text/x.tlog.size');
  t.is(await conflict.text(), '4\n');
  t.is((await post(witness, request(4, signed(6)))).status, 422);
  t.is((await post(witness, request(9, signed(6)))).status, 400);
  t.is((await post(witness, Buffer.from('no request'))).status, 400);
  const other = formatNote(signNote(`other\n1\n${'A'.repeat(43)}=\n`, 'other', seed));
  t.is((await post(witness, request(0, other))).status, 404);
  const unsigned = Buffer.from(Buffer.from(signed(6)).toString().replace('\n6\n', '\n7\n'));
  t.is((await post(witness, request(4, unsigned))).status, 403);
  t.is((await post(witness, new Uint8Array(1_000_001))).status, 413);
});

test('a witness remembers, keeps its key and name, and refuses another name', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const first = open(t, dir, 'birch.example/witness');
  t.is((await post(first, request(0, signed(4)))).status, 200);
  const again = open(t, dir);
  t.is(again.vkey, first.vkey);
  t.is((await post(again, request(4, signed(4, digest('other'))))).status, 409);
  t.deepEqual(again.heads().map(({ size }) => size), [4]);
  t.deepEqual(again.evidence().map(({ kind }) => kind), ['fork']);
  t.throws(() => openWitness({ dir, name: 'other', logs, nowS: () => 0 }), { code: 'name-differs' });
  t.throws(() => openWitness({ dir, name: 'a name', logs, nowS: () => 0 }), { code: 'bad-name' });
});

test('evidence is kept once a checkpoint, and is bounded', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const witness = open(t, dir);
  witness.addCheckpoint(request(0, signed(4)));
  for (let i = 0; i < 120; i++) {
    for (const old of [4, 2]) witness.addCheckpoint(request(old, signed(4, digest(`fork ${i}`))));
  }
  t.is(witness.evidence().length, 100);
});

test('signatures that a stranger adds to a public checkpoint are not kept, and stop nothing', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const witness = open(t, dir);
  t.is((await post(witness, request(0, signed(4)))).status, 200);
  // As many as a note may have, the log's own included, and almost as long as a body may be.
  const signature = new Uint8Array(6_000);
  const added = Array.from({ length: 99 }, (_, keyId) => ({ name: `stranger-${keyId}`, keyId, signature }));
  const padded = (checkpoint: Uint8Array): Uint8Array => {
    const { text, signatures } = parseNote(checkpoint);
    return formatNote({ text, signatures: [...signatures, ...added] });
  };
  for (let i = 0; i < 3; i++) t.is((await post(witness, request(4, padded(signed(4))))).status, 200);
  t.is((await post(witness, request(4, padded(signed(4, digest('fork')))))).status, 409);
  t.is((await post(witness, request(4, signed(4)))).status, 200);
  const [{ checkpoint }] = witness.heads();
  t.is(parseNote(Buffer.from(checkpoint)).signatures.length, 2);
  const [{ known, submitted }] = witness.evidence();
  t.true(known.length + submitted.length < 1_000);
  t.deepEqual(Buffer.from(submitted), Buffer.from(request(4, signed(4, digest('fork')))));
});

test('a log that signs a long text is refused: what is kept of it stays small', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const witness = open(t, dir);
  const text = formatCheckpoint({
    origin: ORIGIN, size: 4, root: digest('root 4'), extensions: ['x'.repeat(16_384)],
  });
  t.is((await post(witness, request(0, formatNote(signNote(text, ORIGIN, seed))))).status, 400);
  t.deepEqual(witness.heads(), []);
});

test('a witness whose clock jumps back cosigns at no earlier time than before', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  let nowS = 1_800_000_000;
  const witness = openWitness({ dir, logs, nowS: () => nowS });
  t.teardown(() => witness.close());
  const timeOf = async (body: Uint8Array): Promise<number> => {
    const line = await (await post(witness, body)).text();
    const [{ signature }] = parseNote(Buffer.from(`${parseNote(signed(4)).text}\n${line}`)).signatures;
    return Number(cosignatureTime(signature));
  };
  t.is(await timeOf(request(0, signed(4))), nowS);
  nowS -= 86_400;
  t.is(await timeOf(request(4, signed(4))), 1_800_000_000);
  nowS += 86_401;
  t.is(await timeOf(request(4, signed(4))), 1_800_000_001);
});
