// The web checks against an HTTPS server of a fediverse shape, certified by a campaign's authority
// (or by another, or too long ago).

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';

import test, { type ExecutionContext } from 'ava';

import { certify, makeAuthority, makeKey } from '../../../provisioner/campaign/ca.ts';
import type { Kit } from '../../../provisioner/campaign/campaign.ts';
import { checkWeb, judgeTls } from '../../../provisioner/check/web.ts';
import type { NodeSecrets } from '../../../provisioner/node/kinds.ts';

const random = (sizeBytes: number) => new Uint8Array(randomBytes(sizeBytes));
const dayMs = 86_400_000;
const kit = { name: 'alice', domain: 'alice.test', owner: 'alice', address: '127.0.0.1' } as Kit;

interface Site {
  paths?: Record<string, unknown>;
  certifiedAtMs?: number;
  domain?: string;
  otherAuthority?: boolean;
}

async function check(t: ExecutionContext, site: Site = {}) {
  const now = () => site.certifiedAtMs ?? Date.now();
  const authority = async () => {
    const keyPem = makeKey(random);
    return { keyPem, certificatePem: await makeAuthority('R', ['test'], { keyPem, random, now }) };
  };
  const trusted = await authority();
  const issuer = site.otherAuthority ? await authority() : trusted;
  const keyPem = makeKey(random);
  const tls = await certify(site.domain ?? kit.domain, issuer, { keyPem, random, now });
  const paths: Record<string, unknown> = { ...well, ...site.paths };
  const server = createServer({ key: tls.keyPem, cert: tls.certificatePem }, (request, response) => {
    const document = paths[request.url!];
    response.statusCode = document === undefined ? 404 : 200;
    const raw = typeof document === 'string' || Buffer.isBuffer(document);
    response.end(raw ? document : JSON.stringify(document));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const secrets = { campaign: { caCertificatePem: trusted.certificatePem } } as NodeSecrets;
  const asked: [string, number][] = [];
  const { checks } = await checkWeb(kit, {
    connect: (host, wanted) => (asked.push([host, wanted]), connect(port, '127.0.0.1')),
    ...{ secrets, now: Date.now, webUnits: 'nginx.service' },
  });
  t.true(asked.every(([host, wanted]) => host === kit.address && wanted === 443));
  return Object.fromEntries(checks.map((one) => [one.name, one]));
}

const actor = 'https://alice.test/alice';
const publicKeyPem = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .publicKey.export({ type: 'spki', format: 'pem' });
const webFinger = '/.well-known/webfinger?resource=acct%3Aalice%40alice.test';
const actorDocument = {
  id: actor,
  inbox: `${actor}/inbox`,
  outbox: `${actor}/outbox`,
  publicKey: { id: `${actor}#main-key`, owner: actor, publicKeyPem },
};
const well = {
  '/': 'hello',
  [webFinger]: {
    subject: 'acct:alice@alice.test',
    links: [{ rel: 'self', type: 'application/activity+json', href: actor }],
  },
  '/alice': actorDocument,
  '/.well-known/nodeinfo': {
    links: [
      {
        rel: 'http://nodeinfo.diaspora.software/ns/schema/2.0',
        href: 'https://alice.test/nodeinfo_2_0',
      },
    ],
  },
  '/nodeinfo_2_0': { software: { name: 'snac', version: '2.75' }, protocols: ['activitypub'] },
};

test('a server that is well passes', async (t) => {
  const checks = await check(t);
  t.deepEqual(Object.values(checks).filter(({ ok }) => !ok), []);
  t.is(checks['tls'].measured, 'TLSv1.3, by commons-kit campaign authority, 3648 days left');
  t.is(checks['actor'].measured, `${actor}, key rsa 2048`);
  t.is(checks['nodeinfo'].measured, 'snac 2.75');
});

test('another authority, another name, and a certificate that ended are refused', async (t) => {
  const other = await check(t, { otherAuthority: true });
  t.deepEqual(Object.values(other).map(({ state }) => state), Array(4).fill('failed'));
  const domain = (await check(t, { domain: 'bob.test' }))['tls'];
  t.regex(domain.measured, /altnames/);
  const old = (await check(t, { certifiedAtMs: Date.now() - 4000 * dayMs }))['tls'];
  t.regex(old.measured, /expired/);
});

test('a certificate near its end fails though it still holds', (t) => {
  const shown = { protocol: 'TLSv1.3', issuer: 'an authority', fingerprint256: 'AB' };
  const tls = { ...shown, notAfterMs: 21 * dayMs };
  t.is(judgeTls({ tls }, 0).state, 'ok');
  t.is(judgeTls({ tls }, 1).state, 'failed');
});

const faults: [about: string, name: string, paths: Record<string, unknown>, said: RegExp][] = [
  ['no WebFinger', 'webfinger', { [webFinger]: undefined }, /status 404/],
  ['WebFinger of somebody else', 'webfinger', { [webFinger]: { subject: 'acct:bob@alice.test' } }, /bob/],
  ['an actor under another id', 'actor', { '/alice': { ...actorDocument, id: `${actor}2` } }, /alice2/],
  [
    'an actor whose key is stray bytes',
    'actor',
    { '/alice': { ...actorDocument, publicKey: { owner: actor, id: actor, publicKeyPem: 'PEM' } } },
    /./,
  ],
  ['bytes that are not UTF-8', 'nodeinfo', { '/nodeinfo_2_0': Buffer.from('22802200', 'hex') }, /encoded/],
  ['NodeInfo without ActivityPub', 'nodeinfo', { '/nodeinfo_2_0': { protocols: ['xmpp'] } }, /xmpp/],
  ['a page where JSON should be', 'nodeinfo', { '/.well-known/nodeinfo': '<html>' }, /JSON/],
  ['an endless document', 'nodeinfo', { '/nodeinfo_2_0': ' '.repeat(300_000) }, /more than/],
];
for (const [about, name, paths, said] of faults) {
  test(`${about} fails ${name}`, async (t) => {
    const checks = await check(t, { paths });
    t.is(checks[name].state, 'failed');
    t.regex(checks[name].measured, said);
  });
}

test('a name that nobody knows is the address’s fault, not the web server’s', async (t) => {
  const error = Object.assign(new Error('getaddrinfo ENOTFOUND alice.test'), {
    ...{ code: 'ENOTFOUND', hostname: 'alice.test' },
  });
  const secrets = { campaign: {} } as NodeSecrets;
  const connect = () => {
    throw error;
  };
  const { checks } = await checkWeb(kit, { connect, secrets, now: Date.now, webUnits: 'nginx' });
  for (const { state, advice } of checks) {
    t.is(state, 'failed');
    t.regex(advice, /finds no alice\.test.*`address`/);
  }
});
