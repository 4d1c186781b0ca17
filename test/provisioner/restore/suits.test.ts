// Whose backup it is: every way in which it may be somebody else's has its own code.

import test from 'ava';

import { parseCampaign } from '../../../provisioner/campaign/campaign.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { snacRestorable } from '../../../provisioner/node/snac/restoration.ts';
import { readKitJson } from '../../../provisioner/restore/kit-json.ts';
import { identityOf } from '../../../provisioner/restore/suits.ts';
import { hash, hostKey, members, sealed } from '../../helpers/backup.ts';
import { campaignText } from '../../helpers/bench.ts';

const campaign = parseCampaign(campaignText.replace('"tiny"', '"snac"'), '/campaign.toml');
const about = { kit: campaign.kits[0], campaign, known: hostKey.fingerprint, brought: snacRestorable };
const backup = (changes = {}) => readKitJson(Buffer.from(sealed(members(changes))), 'kit.json');

test('this kit’s', (t) => {
  const identity = identityOf(backup(), about);
  t.deepEqual(identity.sshHostKey, hostKey);
  t.deepEqual(identity.tls, { certificatePem: 'the certificate\n', keyPem: 'its key\n' });
  t.deepEqual(identity.files.map(({ path }) => path), ['/var/lib/commons-kit/recovery/codes']);
  t.true(identity.handedOver);
  t.is(identityOf(backup(), { ...about, known: undefined }).sshHostKey.fingerprint, hostKey.fingerprint);
});

test('a kind that obtains its own certificate brings none, and has none to be missing', (t) => {
  const own = { patterns: snacRestorable.patterns, leftOut: '' };
  const [hostKeyFile] = members()['identity'] as object[];
  const bare = backup({ identity: [hostKeyFile] });
  t.is(identityOf(bare, { ...about, brought: own }).tls, undefined);
  t.throws(() => identityOf(bare, about), { instanceOf: KitError });
});

test('handed over is one that holds both the login and the codes', (t) => {
  for (const once of [[], ['owner-alice'], ['login-alice'], ['recovery-codes'], ['login-bob', 'recovery-codes']]) {
    t.false(identityOf(backup({ once }), about).handedOver, once.join());
  }
});

const identity = members()['identity'] as { path: string; content: string }[];
const refused: [what: string, changes: Record<string, unknown>, code: string][] = [
  ['of another image', { kind: 'freedombox' }, 'backup-other-kind'],
  ['of another kit', { kit: 'bob' }, 'backup-wrong-kit'],
  ['of another domain', { domain: 'alice.example' }, 'backup-wrong-domain'],
  ['of another owner', { owner: 'bob' }, 'backup-wrong-owner'],
  ['without a host key', { identity: identity.slice(1) }, 'backup-incomplete'],
  ['without a certificate', { identity: [identity[0], identity[2]] }, 'backup-incomplete'],
  ['with an odd host key', { identity: [{ ...identity[0], content: 'AAAA' }, ...identity.slice(1)] }, 'backup-incomplete'],
  ['with a login of a third', { logins: { mallory: hash } }, 'backup-incomplete'],
  ['with a file that is none of its own', {
    identity: [...identity, { ...identity[0], path: '/root/.ssh/authorized_keys' }],
  }, 'backup-incomplete'],
];

for (const [what, changes, code] of refused) {
  test(`${what}: ${code}`, (t) => {
    const error = t.throws(() => identityOf(backup(changes), about), { instanceOf: KitError });
    t.is(error.code, code);
    t.truthy(error.expected && error.got && error.hint);
  });
}

test('of a node of the same name: backup-wrong-kit', (t) => {
  const error = t.throws(() => identityOf(backup(), { ...about, known: 'SHA256:another' }));
  t.like(error, { code: 'backup-wrong-kit', expected: 'SHA256:another', got: hostKey.fingerprint });
});
