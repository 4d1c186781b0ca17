// A post deleted by snac's own page: what is sent there, and what its answers mean.

import test from 'ava';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';

import { certify, makeAuthority, makeKey } from '../../../provisioner/campaign/ca.ts';
import type { Kit } from '../../../provisioner/campaign/campaign.ts';
import { withdrawNote } from '../../../provisioner/check/withdraw.ts';
import type { NodeSecrets } from '../../../provisioner/node/kinds.ts';
import type { SnacPeer } from '../../../provisioner/node/snac/account.ts';
import { seededRandom } from '../../helpers/bench.ts';

const kit = { name: 'alice', owner: 'alice', domain: 'alice.test', address: '192.0.2.7' } as Kit;
const account = { actor: 'https://alice.test/alice' } as SnacPeer;
const id = 'https://alice.test/alice/p/1';
const passphrase = 'lusab-babad-gutih-tugad';

const answers: [status: number, words: RegExp | undefined][] = [
  [303, undefined],
  [401, /another passphrase/],
  [404, /status 404/],
];

for (const [status, words] of answers) {
  test(`its page answers with ${status}`, async (t) => {
    const deps = { random: seededRandom('withdraw'), now: Date.now };
    const keyPem = makeKey(deps.random);
    const certificatePem = await makeAuthority('Withdraw', ['test'], { ...deps, keyPem });
    const tls = await certify(kit.domain, { keyPem, certificatePem }, { ...deps, keyPem: makeKey(deps.random) });
    const asked: { method?: string; url?: string; login?: string; body: string }[] = [];
    const server = createServer({ key: tls.keyPem, cert: tls.certificatePem }, async (request, response) => {
      let body = '';
      for await (const piece of request) body += piece;
      const { method, url, headers } = request;
      const login = Buffer.from(headers.authorization!.replace('Basic ', ''), 'base64').toString();
      asked.push({ method, url, login, body });
      response.writeHead(status).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const secrets = {
      campaign: { caCertificatePem: certificatePem },
      kit: { ownerPassphrase: passphrase },
    } as NodeSecrets;
    const done = withdrawNote(id, {
      ...{ kit, account, secrets }, connect: () => connect(port, '127.0.0.1'),
    });
    if (words === undefined) await t.notThrowsAsync(done);
    else t.regex((await t.throwsAsync(done)).message, words);
    t.like(asked[0], { method: 'POST', url: '/alice/admin/action', login: `alice:${passphrase}` });
    t.deepEqual(Object.fromEntries(new URLSearchParams(asked[0].body)),
      { id, actor: account.actor, action: 'Delete' });
  });
}
