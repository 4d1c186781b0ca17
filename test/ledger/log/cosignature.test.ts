// Witness cosignatures: the note line, and the bytes it covers as c2sp.org/tlog-cosignature draws
// them.

import test from 'ava';
import { cosign, cosignatureTime, verifyCosignature } from '../../../ledger/log/cosignature.ts';
import { signingKey } from '../../../ledger/log/ed25519.ts';
import { SIGNATURE_TYPE, verifierKey } from '../../../ledger/log/note.ts';
import { digest } from '../../helpers/meter.ts';

const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
const seed = digest('witness');
const witness = signingKey(seed);
const key = verifierKey('witness.example.com/w1', SIGNATURE_TYPE.cosignatureV1, witness.publicKey);

test('a cosignature is a time, and a signature over the header, the time and the note', (t) => {
  const { signature } = cosign(text, { name: key.name, seed, timeS: 1_679_315_147 });
  t.is(signature.length, 72);
  t.is(cosignatureTime(signature), 1_679_315_147n);
  const covered = new TextEncoder().encode(`cosignature/v1\ntime 1679315147\n${text}`);
  t.deepEqual(signature.slice(8), witness.sign(covered));
  t.true(verifyCosignature(key, text, signature));
});

test('another time, text, key or kind of key does not verify', (t) => {
  const { signature } = cosign(text, { name: key.name, seed, timeS: 1_679_315_147 });
  for (let i = 0; i < signature.length; i++) {
    const changed = Uint8Array.from(signature, (byte, at) => (at === i ? byte ^ 1 : byte));
    t.false(verifyCosignature(key, text, changed), `byte ${i}`);
  }
  t.false(verifyCosignature(key, text.replace('3\n', '4\n'), signature));
  t.false(verifyCosignature(key, text, signature.slice(0, -1)));
  const asLog = verifierKey(key.name, SIGNATURE_TYPE.ed25519, witness.publicKey);
  t.false(verifyCosignature(asLog, text, signature));
});
