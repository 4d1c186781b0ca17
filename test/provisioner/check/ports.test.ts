// Ports and the public name, against sockets on loopback and made-up name servers.

import test, { type ExecutionContext } from 'ava';
import { once } from 'node:events';
import { createServer as createTcp, connect, type AddressInfo, type Server } from 'node:net';
import { createServer as createTls } from 'node:tls';

import { certify, makeAuthority, makeKey } from '../../../provisioner/campaign/ca.ts';
import type { Kit } from '../../../provisioner/campaign/campaign.ts';
import { checkPorts } from '../../../provisioner/check/ports.ts';
import { checkPublic } from '../../../provisioner/check/public.ts';
import type { Connect } from '../../../provisioner/node/connection.ts';
import { seededRandom } from '../../helpers/bench.ts';

const kit = { name: 'alice', domain: 'alice.example.org', address: '192.0.2.7' } as Kit;

async function portOf(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Ports of `open` lead to a server; others to a port on which nobody listens. */
async function portsOf(t: ExecutionContext, open: number[]): Promise<Connect> {
  const here = await portOf(t, createTcp((socket) => socket.destroy()));
  const gone = createTcp();
  const nowhere = await portOf(t, gone);
  gone.close();
  return (_, port) => connect(open.includes(port) ? here : nowhere, '127.0.0.1');
}

const openPorts = [22, 80, 443, 8010];

test('80 and 443 answer, and what listens besides is shut', async (t) => {
  const deps = { openPorts, listening: [22, 80, 443, 5355, 8010] };
  const found = await checkPorts(kit, { connect: await portsOf(t, [80, 443]), ...deps });
  t.like(found, { state: 'ok', measured: '80 and 443 answer; 1 others shut' });
});

test('a web server that does not answer, and a service left open, fail', async (t) => {
  const deps = { openPorts, listening: [80, 443, 3306] };
  const shut = await checkPorts(kit, { connect: await portsOf(t, [80]), ...deps });
  t.like(shut, { state: 'failed', measured: 'no answer on 443' });
  t.regex(shut.advice, /kit configure/);
  const bare = await checkPorts(kit, { connect: await portsOf(t, [80, 443, 3306]), ...deps });
  t.like(bare, { state: 'failed', measured: 'everybody on the LAN reaches 3306' });
  t.regex(bare.advice, /firewall/);
});

test('a node that cannot be asked what listens leaves that unsaid', async (t) => {
  const connect = await portsOf(t, [80, 443]);
  const found = await checkPorts(kit, { connect, openPorts, listening: undefined });
  t.regex(found.measured, /others not seen/);
});

async function serverFor(t: ExecutionContext, domain: string) {
  const deps = { random: seededRandom('ports'), now: Date.now };
  const keyPem = makeKey(deps.random);
  const authority = {
    keyPem,
    certificatePem: await makeAuthority('Ports', ['example.org'], { ...deps, keyPem }),
  };
  const tls = await certify(domain, authority, { ...deps, keyPem: makeKey(deps.random) });
  const server = createTls({ key: tls.keyPem, cert: tls.certificatePem }, (socket) => {
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });
  const port = await portOf(t, server);
  const { X509Certificate } = await import('node:crypto');
  return { port, fingerprint: new X509Certificate(tls.certificatePem).fingerprint256 };
}

test('the node behind its public name is known by its certificate', async (t) => {
  const { port, fingerprint } = await serverFor(t, kit.domain);
  const asked: string[] = [];
  const found = await checkPublic(kit, {
    connect: (address) => (asked.push(address), connect(port, '127.0.0.1')),
    lookup: async () => ['198.51.100.4', '2001:db8::4'],
    fingerprint,
  });
  t.like(found, { state: 'ok' });
  t.deepEqual(asked.sort(), ['198.51.100.4', '2001:db8::4']);
});

test('another server behind the name fails; no answer is unknown', async (t) => {
  const { port } = await serverFor(t, 'mallory.example.org');
  const lookup = async () => ['198.51.100.4'];
  const other = await checkPublic(kit, {
    ...{ connect: () => connect(port, '127.0.0.1'), lookup, fingerprint: 'AA:BB' },
  });
  t.like(other, { state: 'failed' });
  t.regex(other.advice, /forwarding of port 443/);
  const silent = await checkPublic(kit, {
    ...{ connect: await portsOf(t, []), lookup, fingerprint: 'AA:BB' },
  });
  t.like(silent, { state: 'unknown' });
  t.regex(silent.advice, /forward ports 80 and 443/);
});

const names: [what: string, addresses: string[] | Error, state: string, words: RegExp][] = [
  ['a name without an address', [], 'unknown', /no address yet/],
  ['a name that leads home', ['192.168.1.5'], 'failed', /nobody outside gets there/],
  ['a name that leads to a carrier’s network', ['100.64.3.1'], 'failed', /nobody outside/],
  ['a name that leads home by IPv6', ['fd00::1'], 'failed', /nobody outside/],
  ['no name server', new Error('timeout'), 'unknown', /no name server answered: timeout/],
];

for (const [what, addresses, state, words] of names) {
  test(`${what} is said`, async (t) => {
    const found = await checkPublic(kit, {
      connect: () => t.fail('nobody is to be asked') as never,
      async lookup() {
        if (addresses instanceof Error) throw addresses;
        return addresses;
      },
      fingerprint: 'AA',
    });
    t.is(found.state, state as never);
    t.regex(found.measured, words);
  });
}

test('a name that is nobody’s is not looked up', async (t) => {
  const lookup = () => t.fail('it would leak') as never;
  const deps = { connect: () => t.fail() as never, lookup, fingerprint: 'AA' };
  t.is((await checkPublic({ ...kit, domain: 'alice.test' }, deps)).state, 'unknown');
});
