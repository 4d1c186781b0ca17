// Federation between two servers that are played in memory: what goes lost is found, and nothing
// that was not there before is left behind.

import test from 'ava';

import { checkFederation, type Side } from '../../../provisioner/check/federation.ts';
import type { SnacPeer } from '../../../provisioner/node/snac/account.ts';

interface Faults {
  /** Accounts that the other's WebFinger does not know. */
  unknown?: string;
  /** HTTP status that an account's server answers signed requests with. */
  status?: Record<string, number>;
  /** Its page refuses to delete. */
  keeps?: string;
}

interface Net {
  /** By text: whose timelines have it. */
  notes: Map<string, Set<string>>;
  follows: Set<string>;
  withdrawn: string[];
}

const actorOf = (account: string) => {
  const [, user, domain] = account.split('@');
  return `https://${domain}/${user}`;
};

function sideOf(account: string, net: Net, faults: Faults): Side {
  const peer: SnacPeer = {
    ...{ account, actor: actorOf(account) },
    follow: async (other) => void net.follows.add(actorOf(other)),
    unfollow: async (other) => void net.follows.delete(actorOf(other)),
    post: async () => {},
    async mention(text) {
      const [other] = text.split(' ', 1);
      net.notes.set(text, new Set([account, other]));
    },
    fetchActor: async (actor) => faults.status?.[actor] ?? 201,
    findActor: async (other) => (faults.unknown === other ? undefined : actorOf(other)),
    async findNote(text) {
      const found = [...net.notes].find(([said, seenBy]) =>
        said.includes(text) && seenBy.has(account));
      return found?.[0];
    },
    timelineContains: async () => false,
    followers: async () => [],
    following: async () => [...net.follows],
  };
  return {
    account: peer,
    async withdraw(id) {
      if (faults.keeps === account) throw new Error('the owner has another passphrase by now');
      net.withdrawn.push(id);
      net.notes.delete(id);
    },
  };
}

const [alice, bob] = ['@alice@alice.test', '@bob@bob.test'];

async function check(faults: Faults = {}, { withPeerSide = true } = {}) {
  const net: Net = { notes: new Map(), follows: new Set(), withdrawn: [] };
  const checks = await checkFederation({
    peer: bob,
    owner: sideOf(alice, net, faults),
    peerSide: withPeerSide ? sideOf(bob, net, faults) : undefined,
  });
  return { net, checks, named: Object.fromEntries(checks.map((one) => [one.name, one])) };
}

test('two servers that hear each other pass, and nothing is left', async (t) => {
  const { net, checks } = await check();
  t.deepEqual(checks.map(({ state }) => state), ['ok', 'ok', 'ok']);
  t.is(net.withdrawn.length, 2);
  t.is(net.notes.size, 0);
  t.is(net.follows.size, 0);
});

test('an actor that was had before is as good as one that was fetched now', async (t) => {
  const { named } = await check({ status: { [actorOf(alice)]: 200, [actorOf(bob)]: 200 } });
  t.is(named['signed-fetch'].state, 'ok');
});

test('with an account alone, what arrives there is unknown', async (t) => {
  const { checks, named } = await check({}, { withPeerSide: false });
  t.deepEqual(checks.map(({ state }) => state), ['ok', 'ok', 'unknown']);
  t.regex(named['delivery'].advice, /another kit/);
});

const faults: [what: string, Faults, name: string, measured: RegExp][] = [
  ['a peer that WebFinger does not know', { unknown: bob }, 'signed-fetch', /knows no @bob@bob\.test/],
  ['a peer that refuses signed requests', { status: { [actorOf(bob)]: 401 } }, 'signed-fetch',
    /bob\.test\/bob answers with status 401/],
  ['a kit that refuses the peer’s', { status: { [actorOf(alice)]: 403 } }, 'signed-fetch',
    /alice\.test\/alice answers .*status 403/],
  ['a post that cannot be deleted', { keeps: alice }, 'delivery', /could not be deleted.*passphrase/],
];

for (const [what, fault, name, measured] of faults) {
  test(`${what} fails`, async (t) => {
    const { named } = await check(fault);
    t.is(named[name].state, 'failed');
    t.regex(named[name].measured, measured);
    t.not(named[name].advice, '');
  });
}

test('without a login or a peer nothing is claimed', async (t) => {
  const net: Net = { notes: new Map(), follows: new Set(), withdrawn: [] };
  const owner = sideOf(alice, net, {});
  const none = await checkFederation({ peer: undefined, owner, peerSide: undefined });
  const shut = await checkFederation({ peer: bob, owner: undefined, peerSide: undefined });
  t.true([...none, ...shut].every(({ state }) => state === 'unknown'));
});
