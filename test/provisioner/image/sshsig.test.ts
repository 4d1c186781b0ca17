// The judge is Debian's ssh-keygen, both ways: it accepts what we sign, and we what it signs.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ed25519FromSeed } from '../../../provisioner/campaign/identity.ts';
import { makeSshKey } from '../../../provisioner/campaign/ssh-key.ts';
import { KitError } from '../../../provisioner/errors.ts';
import {
  allowedSignerLine,
  imageNamespace,
  signMessage,
  verifyMessage,
} from '../../../provisioner/image/sshsig.ts';
import { seededRandom } from '../../helpers/bench.ts';

function signerOf(name: string) {
  const { key: signingKey, publicKey } = ed25519FromSeed(seededRandom(name)(32));
  // Both draw the seed first, so this is the same key as OpenSSH's file.
  const { privatePem } = makeSshKey(name, seededRandom(name));
  return { name, signingKey, publicKey, privatePem };
}

const alice = signerOf('alice@example.org');
const bob = signerOf('bob@example.org');
const sums = Buffer.from(`${'0f'.repeat(32)}  snac-amd64.img.zst\n`);

function inFolder<T>(work: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'kit-sshsig-'));
  try {
    return work(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** What ssh-keygen says of a signature by alice; throws where it exits with another status. */
function askSshKeygen(message: Uint8Array, armored: string, namespace = imageNamespace): string {
  return inFolder((dir) => {
    const [allowed, signature] = [join(dir, 'allowed'), join(dir, 'signature')];
    writeFileSync(allowed, `${allowedSignerLine(alice)}\n`);
    writeFileSync(signature, armored);
    const who = ['-f', allowed, '-I', alice.name, '-n', namespace, '-s', signature];
    const options = { input: message, stdio: ['pipe', 'pipe', 'pipe'] as 'pipe'[] };
    return execFileSync('ssh-keygen', ['-Y', 'verify', ...who], options).toString();
  });
}

for (const [title, message] of [
  ['a sums file', sums],
  ['nothing', Buffer.alloc(0)],
  ['a MiB', Buffer.alloc(1 << 20, 'x')],
] as const) {
  test(`ssh-keygen accepts our signature on ${title}`, (t) => {
    t.regex(askSshKeygen(message, signMessage(message, alice)), /^Good "commons-kit-image" sig/);
  });

  test(`we accept ssh-keygen's signature on ${title}, which is ours byte for byte`, (t) => {
    inFolder((dir) => {
      const [key, file] = [join(dir, 'key'), join(dir, 'SHA256SUMS')];
      writeFileSync(key, alice.privatePem, { mode: 0o600 });
      writeFileSync(file, message);
      const args = ['-q', '-Y', 'sign', '-f', key, '-n', imageNamespace, file];
      execFileSync('ssh-keygen', args, { stdio: 'pipe' });
      const theirs = readFileSync(`${file}.sig`, 'utf8');
      t.is(verifyMessage(message, theirs, { allowed: [bob, alice] }).name, alice.name);
      // Ed25519 is deterministic (RFC 8032 § 5.1.6), and the format leaves no choice.
      t.is(signMessage(message, alice), theirs);
    });
  });
}

const refusedAs = (code: string) => ({ instanceOf: KitError, code });

test('other bytes, another signer, another purpose are each refused, as ssh-keygen does', (t) => {
  const good = signMessage(sums, alice);
  const allowed = [alice];
  const other = Buffer.concat([sums, Buffer.from('\n')]);
  t.throws(() => verifyMessage(other, good, { allowed }), refusedAs('signature-wrong'));
  t.throws(() => askSshKeygen(other, good));
  const byBob = signMessage(sums, bob);
  t.throws(() => verifyMessage(sums, byBob, { allowed }), refusedAs('signature-stranger'));
  t.throws(() => askSshKeygen(sums, byBob));
  t.throws(() => verifyMessage(sums, good, { allowed: [] }), refusedAs('signature-stranger'));
  const mail = signMessage(sums, alice, 'file');
  t.throws(() => verifyMessage(sums, mail, { allowed }), refusedAs('signature-wrong-purpose'));
  t.throws(() => askSshKeygen(sums, mail));
  t.is(verifyMessage(sums, mail, { allowed, namespace: 'file' }), alice);
});

test('another algorithm is called unsupported, not wrong', (t) => {
  inFolder((dir) => {
    const [key, file] = [join(dir, 'key'), join(dir, 'sums')];
    writeFileSync(file, sums);
    execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', key]);
    const sign = ['-q', '-Y', 'sign', '-n', imageNamespace];
    execFileSync('ssh-keygen', [...sign, '-f', key, file], { stdio: 'pipe' });
    const theirs = readFileSync(`${file}.sig`, 'utf8');
    const verifying = () => verifyMessage(sums, theirs, { allowed: [alice] });
    t.throws(verifying, refusedAs('signature-unsupported'));
  });
});

test('no change of one bit leaves a signature that is accepted', (t) => {
  const lines = signMessage(sums, alice).trim().split('\n');
  const blob = Buffer.from(lines.slice(1, -1).join(''), 'base64');
  const bits = fc.integer({ min: 0, max: blob.length * 8 - 1 });
  fc.assert(
    fc.property(bits, (bit) => {
      const changed = Buffer.from(blob);
      changed[bit >> 3] ^= 1 << (bit & 7);
      const armored = [lines[0], changed.toString('base64'), lines.at(-1)].join('\n');
      const error = t.throws(() => verifyMessage(sums, armored, { allowed: [alice] }), {
        instanceOf: KitError,
      });
      t.regex(error.code, /^signature-/);
    }),
    { numRuns: 500 },
  );
});

test('what is no signature is malformed, wherever it ends', (t) => {
  const good = signMessage(sums, alice);
  const malformed = (text: string) => {
    const verifying = () => verifyMessage(sums, text, { allowed: [alice] });
    t.throws(verifying, refusedAs('signature-malformed'), text.slice(0, 60));
  };
  const lines = good.trim().split('\n');
  const blob = Buffer.from(lines.slice(1, -1).join(''), 'base64');
  const armor = (bytes: Uint8Array) =>
    [lines[0], Buffer.from(bytes).toString('base64'), lines.at(-1), ''].join('\n');
  t.is(verifyMessage(sums, armor(blob), { allowed: [alice] }), alice);
  for (let length = 0; length < blob.length; length++) malformed(armor(blob.subarray(0, length)));
  malformed(armor(Buffer.concat([blob, Buffer.of(0)])));
  malformed('');
  malformed(good.replace('SSH SIGNATURE', 'PGP SIGNATURE'));
  malformed(good.replace('\n', '\n!'));
  malformed(good + 'x'.repeat(20_000));
});
