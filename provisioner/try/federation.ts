// Two servers meet: the trial's node and a second real snac2 on the internet's side of the home
// follow each other, and a post of each arrives at the other. Effects are what counts: snac's own
// exit status says nothing of a delivery.

import { join } from 'node:path';
import { atWorkbench } from '../bench/workbench.ts';
import { findKit } from '../campaign/campaign.ts';
import { openConnection } from '../node/connection.ts';
import { addressOf } from '../node/kinds.ts';
import { shellOver } from '../node/shell.ts';
import { snacPeer, type SnacPeer } from '../node/snac/account.ts';
import { NODE_ADDRESS, PEER_ADDRESS } from '../virtual/home.ts';
import { startPeer } from '../virtual/peer.ts';
import type { TrialNode } from './node.ts';
import { DOMAIN, KIT, OWNER, PEER_DOMAIN, PEER_USER, type Trial } from './trial.ts';
import { until } from './wait.ts';

const DELIVERY_LIMIT_MS = 120_000;

export interface Federation {
  peer: SnacPeer;
  /** What was posted, and arrived. */
  posts: string[];
}

export async function federate(
  trial: Trial,
  node: TrialNode,
  say: (text: string) => void,
): Promise<Federation> {
  say('starting a second server');
  const bob = await startBob(trial, node);
  const alice = await accountOnNode(trial, node);
  say('following each other');
  await alice.follow(bob.account);
  await bob.follow(alice.account);
  const follows = (who: SnacPeer, whom: SnacPeer) =>
    arrives(trial, `${who.account} to follow ${whom.account}`, async () =>
      (await who.following()).includes(whom.actor),
    );
  await follows(alice, bob);
  await follows(bob, alice);
  const posts: string[] = [];
  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    const text = `Hello from ${from.account}, ${new Date(trial.nowMs()).toISOString()}`;
    say(`a post from ${from.account}`);
    await from.post(text);
    await arrives(trial, `the post at ${to.account}`, () => to.timelineContains(text));
    posts.push(text);
  }
  return { peer: bob, posts };
}

async function startBob(trial: Trial, node: TrialNode): Promise<SnacPeer> {
  const { folder } = trial;
  const root = join(folder.peer, 'tree');
  const secrets = await atWorkbench(folder, async (bench) => ({
    tls: await bench.secrets.issueCertificate(PEER_DOMAIN),
    caCertificatePem: (await bench.secrets.campaign()).caCertificatePem,
  }));
  const bob = await startPeer({
    ...{ root, domain: PEER_DOMAIN, address: PEER_ADDRESS, user: PEER_USER, ...secrets },
    ...{ nameserver: '192.168.77.1', log: join(folder.peer, 'peer.log'), enter: node.home.enter },
  });
  trial.onStop(() => bob.stop());
  return bob;
}

async function accountOnNode(trial: Trial, node: TrialNode): Promise<SnacPeer> {
  const connect = await node.home.way(NODE_ADDRESS, 22);
  const address = await atWorkbench(trial.folder, async ({ campaign, secrets }) => {
    const kit = findKit(campaign, KIT);
    return addressOf(kit, { campaign: await secrets.campaign(), kit: await secrets.kit(kit) });
  });
  const connection = await openConnection(address, { connect });
  trial.onStop(async () => connection.close());
  const shell = shellOver(connection);
  return snacPeer({ user: OWNER, domain: DOMAIN }, shell);
}

async function arrives(trial: Trial, what: string, check: () => Promise<boolean>): Promise<void> {
  await until({
    what,
    withinMs: DELIVERY_LIMIT_MS,
    everyMs: 2000,
    signal: trial.signal,
    check: async () => (await check()) || undefined,
  });
}
