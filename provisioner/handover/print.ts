// The leaflet from what the bench knows to NAME.leaflet.pdf, and back: the word that somebody reads
// off the paper. Until it was typed, nobody is known to hold the only copy of the owner's secrets.

import { resolve } from 'node:path';

import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { replaceDurably } from '../campaign/durable.ts';
import type { RandomSource } from '../campaign/identity.ts';
import { ownerPublicKey } from '../campaign/owner-key.ts';
import { proquint } from '../campaign/passphrase.ts';
import type { LeafletSecrets } from '../campaign/secrets.ts';
import { KitError } from '../errors.ts';
import { renderLeaflet, type LeafletFacts } from './leaflet/leaflet.ts';
import { handoverOf } from '../node/kinds.ts';
import { makeRecoveryCodes } from './recovery-code.ts';
import { ownerTexts } from './texts.ts';

export interface PrintedLeaflet {
  file: string;
  /** What the volunteer should know of it: a language that there is none of, a key that is missing. */
  notices: string[];
  secrets: LeafletSecrets;
}

/** The same secrets at every call; only its owner's eyes may read the file. */
export async function printLeaflet(
  kit: Kit,
  bench: Pick<Workbench, 'campaign' | 'secrets' | 'record'>,
  { folder, random, now }: { folder: string; random: RandomSource; now: () => number },
): Promise<PrintedLeaflet> {
  const secrets = await bench.secrets.leaflet(kit, () => ({
    recoveryCodes: makeRecoveryCodes(random),
    printWord: proquint(random(2)),
  }));
  const { ownerPassphrase: passphrase, ownerKey: words } = await bench.secrets.kit(kit);
  const { ownerKey, keyNotice } = enrolledKey(kit, bench.record, words);
  const { texts, language, notice } = await ownerTexts(kit.language);
  const facts = leafletFacts(kit, bench);
  const pdf = await renderLeaflet(
    { facts, secrets: { ...secrets, passphrase, ownerKey }, texts },
    { madeAtMs: now(), language },
  );
  const file = leafletPath(kit, folder);
  // Before it is there: whatever happens then, what is to be erased is known.
  bench.record.start(kit.name, 'leaflet', { pdf: file });
  await replaceDurably(file, pdf, 0o600);
  bench.record.done(kit.name, 'leaflet', { pdf: file, language });
  const notices = [notice, keyNotice].filter((said) => said !== undefined);
  return { file, notices, secrets };
}

/**
 * The owner's key, if the ledger knows it: one that no enrolment names would be a promise that
 * nobody keeps. @param words of the kit's secrets
 */
function enrolledKey(
  { name }: Kit,
  record: Workbench['record'],
  words: string | undefined,
): { ownerKey?: string; keyNotice?: string } {
  const paired = record.lastDone(name, 'pair')?.detail;
  if (paired === undefined) return {};
  const named = paired['ownerKey'];
  const isNamed = words !== undefined && Buffer.from(ownerPublicKey(words)).toString('hex') === named;
  if (isNamed) return { ownerKey: words };
  return {
    keyNotice: `${name}’s meter was enrolled without an owner’s key: its owner cannot have the ledger`
      + ' publish otherwise or erase (docs/handover.md says what can be done)',
  };
}

export function leafletPath(kit: Kit, folder: string): string {
  return resolve(folder, `${kit.name}.leaflet.pdf`);
}

/** @throws KitError `leaflet-unread` when it is not the word on the paper */
export function refuseOtherWord(typed: string, { printWord }: LeafletSecrets, file: string): void {
  if (typed.trim().toLowerCase() === printWord) return;
  throw new KitError({
    code: 'leaflet-unread',
    message: 'Nothing was changed on the node or at the bench',
    expected: 'the word on the leaflet’s second page',
    got: typed.trim() === '' ? 'no word' : 'another word',
    hint: `Print ${file}, look at both pages, then say it again with the word that stands there.`,
  });
}

/** What stands on the leaflet and is no secret. @throws KitError `kind-unknown` */
export function leafletFacts(
  kit: Kit,
  { campaign, record }: Pick<Workbench, 'campaign' | 'record'>,
): LeafletFacts {
  const meter = record.lastDone(kit.name, 'pair')?.detail['meter'];
  const { logins: loginsOf, healthPort } = handoverOf(campaign);
  const logins = loginsOf(kit.owner).map((path) => `${kit.domain}/${path}`);
  return {
    ...{ kit: kit.name, domain: kit.domain, community: campaign.name, user: kit.owner },
    loginAddress: `https://${logins[0]}`,
    addresses: logins.join(', '),
    handle: `@${kit.owner}@${kit.domain}`,
    healthPage: healthPort === undefined ? undefined : `http://${kit.name}:${healthPort}/`,
    isKnownToBrowsers: campaign.acme !== undefined,
    contact: campaign.contact,
    ledgerPage: typeof meter === 'string' ? `${campaign.ledger}/node/${meter}` : undefined,
  };
}
