// kit.json: what is read of a whole one, and that no byte of it can change, go or come unseen.

import { createHash } from 'node:crypto';

import test from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { readKitJson } from '../../../provisioner/restore/kit-json.ts';
import { hash, hostKey, members, sealed } from '../../helpers/backup.ts';
import { seededRandom } from '../../helpers/bench.ts';

const whole = Buffer.from(sealed(members()));

function codeOf(bytes: Uint8Array): string {
  try {
    readKitJson(bytes, 'kit.json');
    return 'read';
  } catch (error) {
    if (!(error instanceof KitError)) throw error;
    return error.code;
  }
}

test('a whole one', (t) => {
  const { identity, seal, ...rest } = readKitJson(whole, 'kit.json');
  t.is(identity[0].content.toString(), hostKey.privatePem);
  t.true(whole.toString().endsWith(`,"sha256":"${seal}"}\n`));
  t.like(rest, { kit: 'alice', kind: 'snac', domain: 'alice.test', owner: 'alice', dataBytes: 123_456 });
  t.deepEqual(rest.parts.map(({ name }) => name), ['0.tar.zst', '1.tar.zst', 'manifest']);
  t.deepEqual(rest.logins, { alice: hash, root: hash });
});

test('of a YunoHost: its own archive, packed or not, and its account of it', (t) => {
  const part = (name: string) => ({ name, bytes: 1, sha256: 'a'.repeat(64) });
  const read = (kind: string, ...names: string[]): string =>
    codeOf(Buffer.from(sealed(members({ kind, parts: names.map(part) }))));
  t.is(read('yunohost', 'yunohost.tar', 'info.json'), 'read');
  t.is(read('yunohost', 'info.json', 'yunohost.tar.gz'), 'read');
  for (const names of [['yunohost.tar'], ['info.json'], ['yunohost.tar', 'yunohost.tar.gz'],
    ['info.json', 'manifest'], ['0.tar.zst', 'manifest'], ['yunohost.tar', 'info.json', 'manifest']]) {
    t.is(read('yunohost', ...names), 'backup-damaged', names.join());
  }
  t.is(read('snac', 'yunohost.tar', 'info.json'), 'backup-damaged');
  t.is(read('snac', '0.tar.zst', 'manifest'), 'read');
});

test('cut short anywhere, or longer, it is damaged', (t) => {
  for (let length = 0; length < whole.length; length++) {
    t.is(codeOf(whole.subarray(0, length)), 'backup-damaged', `${length} bytes`);
  }
  t.is(codeOf(Buffer.concat([whole, Buffer.from('\n')])), 'backup-damaged');
  t.is(codeOf(Buffer.concat([whole, whole])), 'backup-damaged');
});

test('with any byte changed, it is damaged', (t) => {
  const bytes = seededRandom('bits');
  for (let at = 0; at < whole.length; at++) {
    const spoilt = Buffer.from(whole);
    spoilt[at] ^= 1 << (bytes(1)[0] & 7);
    t.is(codeOf(spoilt), 'backup-damaged', `byte ${at}`);
  }
});

test('with any range zeroed, moved or lost, it is damaged', (t) => {
  const seed = String(Date.now() % 1_000_000);
  const bytes = seededRandom(seed);
  const below = (limit: number) => Buffer.from(bytes(4)).readUInt32LE() % limit;
  for (let i = 0; i < 500; i++) {
    const from = below(whole.length);
    const to = from + 1 + below(whole.length - from);
    const zeroed = Buffer.from(whole);
    zeroed.fill(0, from, to);
    const lost = Buffer.concat([whole.subarray(0, from), whole.subarray(to)]);
    const about = `seed ${seed}: ${from} to ${to}`;
    t.is(codeOf(zeroed), 'backup-damaged', about);
    t.is(codeOf(lost), 'backup-damaged', about);
  }
});

const odd: [about: string, changes: Record<string, unknown>, code: string][] = [
  ['of a newer kit', { format: 2, more: true }, 'backup-newer'],
  ['of an older kit', { format: 0 }, 'backup-older'],
  ['with a member that nobody knows', { more: true }, 'backup-damaged'],
  ['without archives', { parts: [] }, 'backup-damaged'],
  ['with a path that climbs', { identity: [{ path: '/etc/../root', mode: '600', owner: 'root:root', content: '' }] }, 'backup-damaged'],
  ['with a path of two lines', { identity: [{ path: '/etc/a\n/b', mode: '600', owner: 'root:root', content: '' }] }, 'backup-damaged'],
  ['with a hash of two lines', { logins: { alice: `${hash}\nroot:${hash}` } }, 'backup-damaged'],
  ['with a name for the shell', { kit: 'alice;reboot' }, 'backup-damaged'],
  ['with a stamp that climbs', { once: ['../x'] }, 'backup-damaged'],
];

for (const [about, changes, code] of odd) {
  test(`sealed, but ${about}: ${code}`, (t) => {
    t.is(codeOf(Buffer.from(sealed(members(changes)))), code);
  });
}

test('sealed, but no JSON: backup-damaged', (t) => {
  const body = '{"format":1,"data_bytes":';
  const sum = createHash('sha256').update(body).digest('hex');
  t.is(codeOf(Buffer.from(`${body},"sha256":"${sum}"}\n`)), 'backup-damaged');
});

test('archives in a row without a hole, each once, with their manifest', (t) => {
  const part = (name: string) => ({ name, bytes: 1, sha256: '0'.repeat(64) });
  const ofParts = (...names: string[]) => codeOf(Buffer.from(sealed(members({ parts: names.map(part) }))));
  t.is(ofParts('0.tar.zst', 'manifest'), 'read');
  t.is(ofParts('manifest', '1.tar.zst', '0.tar.zst'), 'read');
  t.is(ofParts('0.tar.zst', '2.tar.zst', 'manifest'), 'backup-damaged');
  t.is(ofParts('0.tar.zst', '0.tar.zst', 'manifest'), 'backup-damaged');
  t.is(ofParts('0.tar.zst', '1.tar.zst'), 'backup-damaged');
});

test('no secret is in an error’s words', (t) => {
  for (const [, changes] of odd) {
    const error = t.throws(() => readKitJson(Buffer.from(sealed(members(changes))), 'kit.json'));
    const told = JSON.stringify(error) + error!.message;
    t.false(told.includes(hash) || told.includes(hostKey.privatePem.split('\n')[1]));
  }
});
