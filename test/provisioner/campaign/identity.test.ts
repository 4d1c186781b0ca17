import { execFileSync } from 'node:child_process';
import { randomBytes, sign, verify, createPublicKey } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';
import fc from 'fast-check';

import { ed25519FromSeed, identityPath } from '../../../provisioner/campaign/identity.ts';
import { openIdentity } from '../../../provisioner/campaign/identity.ts';
import { parseVolunteerKey, volunteerKeyText } from '../../../provisioner/campaign/identity.ts';
import { KitError } from '../../../provisioner/errors.ts';

const random = (sizeBytes: number) => new Uint8Array(randomBytes(sizeBytes));

const withFolder = test.macro(
  async (t, body: (t: import('ava').ExecutionContext, dir: string) => Promise<void>) => {
    const dir = mkdtempSync(join(tmpdir(), 'kit-identity-'));
    try {
      await body(t, dir);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

test('an identity is made once, for its owner alone, and stays', withFolder, async (t, dir) => {
  const file = join(dir, 'deep/volunteer.key');
  const first = await openIdentity(file, { random });
  t.is(statSync(file).mode & 0o777, 0o600);
  const again = await openIdentity(file, { random });
  t.is(again.publicKeyText, first.publicKeyText);
  t.is(again.ageIdentity, first.ageIdentity);
  const message = Buffer.from('enrol');
  const signature = sign(null, message, first.signingKey);
  t.true(verify(null, message, createPublicKey(again.signingKey), signature));
  t.true(readFileSync(file, 'utf8').includes(`# public key: ${first.publicKeyText}\n`));
});

test('two makers at once end with one identity', withFolder, async (t, dir) => {
  const file = join(dir, 'volunteer.key');
  const made = await Promise.all([1, 2, 3, 4].map(() => openIdentity(file, { random })));
  t.is(new Set(made.map(({ publicKeyText }) => publicKeyText)).size, 1);
  t.is(new Set(made.map(({ ageIdentity }) => ageIdentity)).size, 1);
});

test('an identity that others could read is refused', withFolder, async (t, dir) => {
  const file = join(dir, 'volunteer.key');
  await openIdentity(file, { random });
  for (const mode of [0o644, 0o640, 0o604, 0o660]) {
    chmodSync(file, mode);
    const opening = openIdentity(file, { random });
    const error = await t.throwsAsync(opening, { instanceOf: KitError });
    t.is(error.code, 'identity-exposed');
    t.is(error.got, `0${mode.toString(8)}`);
  }
});

test('what is no file is no identity, and keeps its mode', withFolder, async (t, dir) => {
  const pipe = join(dir, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [dir, pipe, '/dev/null']) {
    const opening = openIdentity(path, { random });
    const error = await t.throwsAsync(opening, { instanceOf: KitError });
    t.is(error.code, 'identity-invalid');
    t.notRegex(error.hint!, /chmod/);
  }
});

test('a broken identity is refused, its secrets are not repeated', withFolder, async (t, dir) => {
  const file = join(dir, 'volunteer.key');
  await openIdentity(file, { random });
  const text = readFileSync(file, 'utf8');
  const spoiled = [
    text.replace(/AGE-SECRET-KEY-1.{10}/, 'AGE-SECRET-KEY-1QQQQQQQQQQ'),
    text.replace(/^AGE.*\n/m, ''),
    text.replace(/(SEED:).*/, '$1AAAA'),
    'x'.repeat(5000),
    '',
  ];
  for (const content of spoiled) {
    writeFileSync(file, content);
    const opening = openIdentity(file, { random });
    const error = await t.throwsAsync(opening, { instanceOf: KitError });
    t.is(error.code, 'identity-invalid');
    t.notRegex(JSON.stringify(error), /AGE-SECRET-KEY-1[A-Z0-9]{8}/);
    t.is(readFileSync(file, 'utf8'), content, 'left as it is');
  }
});

test('where the identity lies: the flag, the environment, the configuration', (t) => {
  const home = { HOME: '/home/vera' };
  t.is(identityPath('/a.key', { ...home, KIT_IDENTITY: '/b.key' }), '/a.key');
  t.is(identityPath(undefined, { ...home, KIT_IDENTITY: '/b.key' }), '/b.key');
  t.is(identityPath(undefined, home), '/home/vera/.config/commons-kit/volunteer.key');
  const config = { ...home, XDG_CONFIG_HOME: '/c' };
  t.is(identityPath(undefined, config), '/c/commons-kit/volunteer.key');
});

test('a public key’s text reads back', (t) => {
  const keys = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(keys, (key) => {
      t.deepEqual(Buffer.from(parseVolunteerKey(volunteerKeyText(key))), Buffer.from(key));
    }),
  );
  for (const text of ['', 'commons-volunteer-ed25519:', 'commons-volunteer-ed25519:AAAA', 'x']) {
    t.throws(() => parseVolunteerKey(text), { message: /not a volunteer/ });
  }
});

// RFC 8032 § 7.1, test 1.
test('an Ed25519 key from its seed has the public key of RFC 8032', (t) => {
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  const { publicKey } = ed25519FromSeed(Buffer.from(seed, 'hex'));
  const wanted = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
  t.is(Buffer.from(publicKey).toString('hex'), wanted);
});
