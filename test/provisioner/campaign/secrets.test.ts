import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, connect, type TLSSocket } from 'node:tls';

import { Decrypter, Encrypter } from 'age-encryption';
import test, { type ExecutionContext } from 'ava';

import { findKit, parseCampaign } from '../../../provisioner/campaign/campaign.ts';
import { readCertificate, readSubtrees } from '../../../provisioner/campaign/certificate.ts';
import { openIdentity } from '../../../provisioner/campaign/identity.ts';
import { openSecrets } from '../../../provisioner/campaign/secrets.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { campaignText, makeBench, seededRandom, type TestBench } from '../../helpers/bench.ts';

const dayMs = 86_400_000;

const withBench = test.macro(
  async (t, body: (t: ExecutionContext, bench: TestBench) => Promise<void>) => {
    const bench = await makeBench();
    try {
      await body(t, bench);
    } finally {
      bench.remove();
    }
  },
);

/** The same campaign folder, opened anew, perhaps with another campaign text. */
function reopen(bench: TestBench, text = campaignText) {
  const campaign = parseCampaign(text, bench.campaign.file);
  const random = seededRandom(`again ${text.length}`);
  const now = () => bench.clock.nowMs;
  return { campaign, secrets: openSecrets(campaign, bench.identity, { random, now }) };
}

test('secrets are made once, and encrypted where they lie', withBench, async (t, bench) => {
  const alice = findKit(bench.campaign, 'alice');
  const first = await bench.secrets.kit(alice);
  t.deepEqual(await bench.secrets.kit(alice), first);
  t.deepEqual(await reopen(bench).secrets.kit(alice), first);
  t.is(first.pairingKey.length, 32);
  t.is(first.enrolNonce.length, 32);
  t.regex(first.ownerPassphrase, /^[a-z]{5}(-[a-z]{5}){4}$/);
  const bob = await bench.secrets.kit(findKit(bench.campaign, 'bob'));
  t.notDeepEqual(bob.pairingKey, first.pairingKey);
  t.not(bob.sshHostKey.fingerprint, first.sshHostKey.fingerprint);

  const folder = join(bench.dir, 'secrets');
  t.deepEqual(readdirSync(folder).sort(), ['_campaign.age', 'alice.age', 'bob.age']);
  for (const name of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, name));
    t.true(bytes.toString('latin1').startsWith('age-encryption.org/v1\n'));
    t.is(bytes.indexOf(first.ownerPassphrase), -1);
    t.is(bytes.indexOf('PRIVATE KEY'), -1);
    t.is(statSync(join(folder, name)).mode & 0o777, 0o600);
  }
});

test('an owner’s key is made with the rest; secrets of before get one when it is asked for', withBench, async (t, bench) => {
  const alice = findKit(bench.campaign, 'alice');
  const { ownerKey } = await bench.secrets.kit(alice);
  t.regex(ownerKey!, /^([a-z]{5}-){8}[2-9]$/);
  t.is(await bench.secrets.ownerKey(alice), ownerKey!);
  const path = join(bench.dir, 'secrets', 'alice.age');
  const opening = new Decrypter();
  opening.addIdentity(bench.identity.ageIdentity);
  const { ownerKey: _, ...older } = JSON.parse(await opening.decrypt(readFileSync(path), 'text'));
  const sealing = new Encrypter();
  sealing.addRecipient(bench.identity.ageRecipient);
  writeFileSync(path, await sealing.encrypt(JSON.stringify(older)));
  t.is((await bench.secrets.kit(alice)).ownerKey, undefined);
  const made = await bench.secrets.ownerKey(alice);
  t.not(made, ownerKey);
  t.is(await reopen(bench).secrets.ownerKey(alice), made);
});

test('several makers at once end with one set of secrets', withBench, async (t, bench) => {
  const alice = findKit(bench.campaign, 'alice');
  const words = ['a', 'bb', 'ccc', 'dddd'];
  const makers = words.map((word) => reopen(bench, `${campaignText}# ${word}`));
  const made = await Promise.all(makers.map(({ secrets }) => secrets.kit(alice)));
  for (const secrets of made) t.deepEqual(secrets, made[0]);
  const { caCertificatePem } = await bench.secrets.campaign();
  t.is(readFileSync(join(bench.dir, 'ca.crt'), 'utf8'), caCertificatePem);
});

test('a campaign’s secrets open only with its volunteer’s key', withBench, async (t, bench) => {
  const alice = findKit(bench.campaign, 'alice');
  await bench.secrets.kit(alice);
  const random = seededRandom('stranger');
  const stranger = await openIdentity(join(bench.dir, 'stranger.key'), { random });
  const theirs = openSecrets(bench.campaign, stranger, { random, now: Date.now });
  const error = await t.throwsAsync(theirs.kit(alice), { instanceOf: KitError });
  t.is(error.code, 'secrets-unreadable');

  const file = join(bench.dir, 'secrets/alice.age');
  truncateSync(file, 300);
  const torn = await t.throwsAsync(bench.secrets.kit(alice), { instanceOf: KitError });
  t.is(torn.code, 'secrets-unreadable');
  writeFileSync(file, '');
  await t.throwsAsync(bench.secrets.kit(alice), { instanceOf: KitError });
  t.is(statSync(file).size, 0, 'never written over');
});

test('a certificate is good for ten years, says openssl too', withBench, async (t, b) => {
  const { tls } = await b.secrets.kit(findKit(b.campaign, 'alice'));
  const { domains, notAfterMs } = readCertificate(tls.certificatePem);
  t.deepEqual(domains, ['alice.test']);
  t.true(notAfterMs - b.clock.nowMs <= 3650 * dayMs);
  t.true(notAfterMs - b.clock.nowMs > 3648 * dayMs);
  const certificate = join(b.dir, 'alice.crt');
  writeFileSync(certificate, tls.certificatePem);
  const atTime = String(Math.trunc(b.clock.nowMs / 1000));
  const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-attime', atTime];
  const arguments_ = [...verify, '-CAfile', join(b.dir, 'ca.crt'), certificate];
  t.true(execFileSync('openssl', arguments_).toString().endsWith(': OK\n'));
});

test('half way to its end a certificate is renewed; all else stays', withBench, async (t, b) => {
  const alice = findKit(b.campaign, 'alice');
  const first = await b.secrets.kit(alice);
  b.clock.nowMs += 1820 * dayMs;
  t.deepEqual(await b.secrets.kit(alice), first);
  b.clock.nowMs += 10 * dayMs;
  const second = await b.secrets.kit(alice);
  t.deepEqual({ ...second, tls: first.tls }, first);
  t.true(readCertificate(second.tls.certificatePem).notAfterMs > b.clock.nowMs + 3600 * dayMs);
  t.deepEqual(await b.secrets.kit(alice), second);

  const moved = reopen(b, campaignText.replace('"alice.test"', '"alice.example"'));
  const third = await moved.secrets.kit(findKit(moved.campaign, 'alice'));
  t.deepEqual(readCertificate(third.tls.certificatePem).domains, ['alice.example']);
  t.deepEqual({ ...third, tls: first.tls }, first);
});

test('the authority certifies the campaign’s names and no others', withBench, async (t, b) => {
  const { caCertificatePem } = await b.secrets.campaign();
  t.deepEqual(readSubtrees(caCertificatePem), ['test']);
  t.deepEqual(
    readCertificate((await b.secrets.issueCertificate('carol.test')).certificatePem).domains,
    ['carol.test'],
  );
  const issuing = b.secrets.issueCertificate('social.example.org');
  const error = await t.throwsAsync(issuing, { instanceOf: KitError });
  t.is(error.code, 'domain-outside');
});

test('new domains widen the authority, its key stays', withBench, async (t, b) => {
  b.clock.nowMs = Date.now(); // TLS asks the real clock.
  const first = await b.secrets.kit(findKit(b.campaign, 'alice'));
  const domains = Array.from({ length: 12 }, (_, n) => `node-${n}.${'long-'.repeat(4)}name.org`);
  const line = `ca_domains = ${JSON.stringify(domains)}\n[[kit]]`;
  const wider = reopen(b, campaignText.replace('[[kit]]', line));
  const { caCertificatePem } = await wider.secrets.campaign();
  t.deepEqual(readSubtrees(caCertificatePem), ['test', ...domains]);
  const other = await wider.secrets.issueCertificate(domains[11]);
  t.is(await shakeHands(caCertificatePem, { ...other, domain: domains[11] }), 'trusted');
  t.is(await shakeHands(caCertificatePem, { ...first.tls, domain: 'alice.test' }), 'trusted');
});

test('who trusts the authority trusts no name outside it', withBench, async (t, b) => {
  b.clock.nowMs = Date.now(); // TLS asks the real clock.
  const { caCertificatePem } = await b.secrets.campaign();
  const { tls } = await b.secrets.kit(findKit(b.campaign, 'alice'));
  t.is(await shakeHands(caCertificatePem, { ...tls, domain: 'alice.test' }), 'trusted');
  t.regex(
    await shakeHands(caCertificatePem, { ...tls, domain: 'bob.test' }),
    /^ERR_TLS_CERT_ALTNAME_INVALID/,
  );
  // The same key certifying beyond its bounds, as a thief would: made with a wider copy of the CA.
  const wide = reopen(b, campaignText.replace('[[kit]]', 'ca_domains = ["bank.org"]\n[[kit]]'));
  const forged = await wide.secrets.issueCertificate('bank.org');
  t.regex(
    await shakeHands(caCertificatePem, { ...forged, domain: 'bank.org' }),
    /permitted subtree violation/,
  );
});

/** What a TLS client that trusts only `ca` says of a server. */
async function shakeHands(
  ca: string,
  server: { keyPem: string; certificatePem: string; domain: string },
): Promise<string> {
  const listener = createServer({ key: server.keyPem, cert: server.certificatePem });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as { port: number };
  const { promise, resolve } = Promise.withResolvers<string>();
  const client: TLSSocket = connect({ port, host: '127.0.0.1', ca, servername: server.domain });
  client.on('secureConnect', () => resolve('trusted'));
  client.on('error', (error: NodeJS.ErrnoException) => resolve(`${error.code} ${error.message}`));
  const verdict = await promise;
  client.destroy();
  listener.close();
  return verdict;
}
