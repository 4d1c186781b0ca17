// Federation, tried with an account on another server: the owner follows it, and the other side's
// consent must arrive. That takes a signed delivery each way, each verified by fetching the other's
// actor. A follow that was not there before is taken back.

import { setTimeout as sleep } from 'node:timers/promises';

import type { Kit } from '../campaign/campaign.ts';
import type { Shell } from '../node/shell.ts';
import { snacPeer, type SnacPeer } from '../node/snac/account.ts';
import { attempt, failed, ok, unknown, type Check } from './finding.ts';

export interface FederationDeps {
  peer: string | undefined;
  shell: Shell | undefined;
}

/** snac sends from a queue that it looks at every few seconds, and tries again after minutes. */
const withinMs = 60_000;
const everyMs = 1000;

export async function checkFederation(kit: Kit, { peer, shell }: FederationDeps): Promise<Check[]> {
  const name = 'federation';
  if (peer === undefined) {
    return [unknown(name, 'not tried: no peer named', 'Name an account with --peer @user@domain.')];
  }
  if (shell === undefined) return [unknown(name, 'not tried: no login', 'Mend `login` first.')];
  const owner = snacPeer({ user: kit.owner, domain: kit.domain }, shell);
  const advice = 'Do both servers trust the same authority, and find each other by name?';
  return [await attempt(name, advice, () => meet(owner, peer))];
}

async function meet(owner: SnacPeer, peer: string): Promise<Check> {
  const domain = peer.split('@').at(-1);
  const before = await owner.following();
  const known = before.find((actor) => new URL(actor).host === domain);
  if (known) return ok('federation', `follows ${known}, which accepted that earlier`);
  const startMs = performance.now();
  await owner.follow(peer);
  try {
    while (performance.now() - startMs < withinMs) {
      const actor = (await owner.following()).find((candidate) => !before.includes(candidate));
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      if (actor) return ok('federation', `${actor} accepted to be followed within ${seconds} s`);
      await sleep(everyMs);
    }
  } finally {
    await owner.unfollow(peer);
  }
  return failed(
    'federation',
    `${peer} did not answer a request to follow within ${withinMs / 1000} s`,
    'Do both servers trust the same authority, and find each other by name?',
  );
}
