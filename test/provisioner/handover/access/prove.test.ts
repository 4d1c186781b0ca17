// Who is let in, as the node itself answers: what cannot be asked proves nothing.

import test from 'ava';

import { makeSshKey } from '../../../../provisioner/campaign/ssh-key.ts';
import { KitError } from '../../../../provisioner/errors.ts';
import { proveLetIn, proveShutOut } from '../../../../provisioner/handover/access/prove.ts';
import { seededRandom } from '../../../helpers/bench.ts';
import { startStandIn } from '../../node/stand-in.ts';

const alice = { name: 'alice', owner: 'alice' };
const other = makeSshKey('other', seededRandom('prove'));

test('a node that lets the bench in is not shut', async (t) => {
  const { address } = await startStandIn(t);
  await t.notThrowsAsync(proveLetIn(address, {}));
  const error = await t.throwsAsync(proveShutOut(alice, address, {}), { instanceOf: KitError });
  t.is(error.code, 'bench-still-let-in');
});

test('a node that refuses the key is', async (t) => {
  const { address } = await startStandIn(t);
  const refused = { ...address, loginKeyPem: other.privatePem };
  await t.notThrowsAsync(proveShutOut(alice, refused, {}));
  const error = await t.throwsAsync(proveLetIn(refused, {}), { instanceOf: KitError });
  t.is(error.code, 'login-refused');
});

test('another machine, and one that is not there, prove nothing', async (t) => {
  const { address } = await startStandIn(t);
  const strange = { ...address, hostKeyLine: other.publicLine, loginKeyPem: other.privatePem };
  const gone = { ...address, port: 1 };
  for (const [asked, cause] of [[strange, 'host-key-mismatch'], [gone, 'node-unreachable']] as const) {
    const error = await t.throwsAsync(proveShutOut(alice, asked, {}), { instanceOf: KitError });
    t.is(error.code, 'withdrawal-unproven');
    t.like(error.cause, { code: cause });
  }
});
