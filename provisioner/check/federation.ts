// Federation, tried with an account on another server. Of any server: its actor is fetched with a
// signed request, and it is followed, which takes a signed delivery each way. Of another kit of the
// campaign, whose node the bench may log into as well: a post arrives there and its answer here.
// What was not there before is taken back.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { SnacPeer } from '../node/snac/account.ts';
import { attempt, failed, ok, reasonOf, unknown, type Check } from './finding.ts';

/** A server that the bench may work from within. */
export interface Side {
  account: SnacPeer;
  /** Deletes one of the account's posts, everywhere. */
  withdraw(noteId: string): Promise<void>;
}

export interface FederationDeps {
  /** `@user@domain` */
  peer: string | undefined;
  /** The kit's owner; undefined: no login. */
  owner: Side | undefined;
  /** The peer's, where it is a kit of the campaign. */
  peerSide: Side | undefined;
}

const names = ['signed-fetch', 'federation', 'delivery'];
/** snac sends from a queue that it looks at every few seconds, and tries again after minutes. */
const withinMs = 60_000;
const everyMs = 1000;
const trust = 'Do both servers trust the same authority, and find each other by name?';

/** All of these checks, when none could be made. */
export function notTried(why: string, advice: string): Check[] {
  return names.map((name) => unknown(name, `not tried: ${why}`, advice));
}

export async function checkFederation({ peer, owner, peerSide }: FederationDeps): Promise<Check[]> {
  if (peer === undefined) {
    return notTried('no peer named', 'Name one: --peer @user@domain, or another kit.');
  }
  if (owner === undefined) return notTried('no login', 'Mend `login` first.');
  const fetched = await attempt('signed-fetch', trust, () => fetchEachOther(owner, peer, peerSide));
  const followed = await attempt('federation', trust, () => meet(owner.account, peer));
  if (peerSide === undefined) {
    const advice = 'Name another kit of this campaign as the peer: its node can be looked into.';
    const unseen = unknown('delivery', 'whether posts arrive there is not seen', advice);
    return [fetched, followed, unseen];
  }
  return [fetched, followed, await attempt('delivery', trust, () => talk(owner, peerSide))];
}

async function fetchEachOther(owner: Side, peer: string, peerSide?: Side): Promise<Check> {
  const name = 'signed-fetch';
  const actor = await owner.account.findActor(peer);
  if (actor === undefined) return failed(name, `WebFinger knows no ${peer}`, trust);
  const status = await owner.account.fetchActor(actor);
  if (!wasHad(status)) return failed(name, `${actor} answers with status ${status}`, trust);
  if (peerSide === undefined) return ok(name, `${actor} was had`);
  const back = await peerSide.account.fetchActor(owner.account.actor);
  if (wasHad(back)) return ok(name, `${actor} was had, and ${owner.account.actor} from there`);
  return failed(name, `${owner.account.actor} answers ${peer}’s server with status ${back}`, trust);
}

/** snac says 201 of an actor that it fetched and keeps, 200 of one that it had kept before. */
function wasHad(status: number): boolean {
  return status >= 200 && status < 300;
}

async function meet(owner: SnacPeer, peer: string): Promise<Check> {
  const name = 'federation';
  const domain = peer.split('@').at(-1);
  const before = await owner.following();
  const known = before.find((actor) => new URL(actor).host === domain);
  if (known) return ok(name, `follows ${known}, which accepted that earlier`);
  const startMs = performance.now();
  await owner.follow(peer);
  try {
    const actor = await arrives(async () =>
      (await owner.following()).find((candidate) => !before.includes(candidate)),
    );
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    if (actor) return ok(name, `${actor} accepted to be followed within ${seconds} s`);
  } finally {
    await owner.unfollow(peer);
  }
  const words = `${peer} did not answer a request to follow within ${withinMs / 1000} s`;
  return failed(name, words, trust);
}

/** Only the two see what is said. */
async function talk(owner: Side, peer: Side): Promise<Check> {
  const name = 'delivery';
  const mark = randomBytes(6).toString('hex');
  const said: { side: Side; text: string }[] = [];
  const say = async (from: Side, to: Side): Promise<boolean> => {
    const text = `A check by kit, ${mark} from ${from.account.account}`;
    said.push({ side: from, text });
    await from.account.mention(`${to.account.account} ${text}`);
    return (await arrives(() => to.account.findNote(text))) !== undefined;
  };
  const startMs = performance.now();
  const lost = async (): Promise<string | undefined> => {
    if (!(await say(owner, peer))) return `a post to ${peer.account.account} did not arrive`;
    if (!(await say(peer, owner))) return `the answer of ${peer.account.account} did not arrive`;
    return undefined;
  };
  let left: string[] = [];
  const wrong = await lost().finally(async () => (left = await withdrawAll(said, [owner, peer])));
  if (wrong !== undefined) return failed(name, `${wrong} within ${withinMs / 1000} s`, trust);
  if (left.length > 0) {
    const words = `arrived, but could not be deleted: ${left.join('; ')}`;
    return failed(name, words, 'Delete it by hand.');
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  return ok(name, `a post and its answer arrived, and were deleted at both: ${seconds} s`);
}

/** What is left of it afterwards, and why. */
async function withdrawAll(said: { side: Side; text: string }[], sides: Side[]): Promise<string[]> {
  const left: string[] = [];
  for (const { side, text } of said) {
    try {
      const id = await side.account.findNote(text);
      if (id === undefined) continue;
      await side.withdraw(id);
      const gone = await arrives(async () => {
        const found = await Promise.all(sides.map(({ account }) => account.findNote(text)));
        return found.every((one) => one === undefined) || undefined;
      });
      if (gone === undefined) left.push(id);
    } catch (error) {
      left.push(`“${text}”, ${reasonOf(error)}`);
    }
  }
  return left;
}

async function arrives<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const untilMs = performance.now() + withinMs; performance.now() < untilMs; ) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(everyMs);
  }
  return undefined;
}
