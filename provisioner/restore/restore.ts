// `kit restore`: a home whose drive died comes back on a new one, from a backup, as the same home.
// `openHome` reads and judges and changes nothing; the drive is written by drive/; `restoreNode`
// does the rest over SSH. Whatever it was cut off by, said again it goes on. A kit that had been
// handed over is its owner's again in the end: the bench is shut out, and that is proven.

import type { Detail } from '../bench/record.ts';
import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { isFresh, type KitSecrets } from '../campaign/secrets.ts';
import { KitError } from '../errors.ts';
import { grant } from '../handover/access/grant.ts';
import { proveShutOut } from '../handover/access/prove.ts';
import { hookFolder } from '../handover/access/recovery-programs.ts';
import { withdrawal } from '../handover/access/withdraw.ts';
import { ownerTexts } from '../handover/texts.ts';
import { configureNode, reach, type NodeEvent } from '../node/configure.ts';
import type { Connect, NodeAddress, NodeConnection } from '../node/connection.ts';
import { addressOf, handoverOf, restorableFiles, restorationOf } from '../node/kinds.ts';
import type { RestoredSecrets } from '../node/kinds.ts';
import { openGeneration, type Generation } from './generation.ts';
import { putBack, type PutBack } from './put-back.ts';
import { sendGeneration } from './send.ts';
import { identityOf, type HomeIdentity } from './suits.ts';

type Bench = Pick<Workbench, 'campaign' | 'secrets' | 'record'>;

export interface RestoreDeps extends Bench {
  /** TCP unless told otherwise. */
  connect?: Connect;
  patienceMs?: number;
  now: () => number;
  report(text: string): void;
}

/** A home that can come back. */
export interface Home {
  kit: Kit;
  generation: Generation;
  identity: HomeIdentity;
  /** The bench's own, where it still has them: the kit was not handed over. */
  kept: KitSecrets | undefined;
  /** The owner's alone in the end: it had been handed over. */
  owners: boolean;
  /** What no backup of it holds, in words. */
  leftOut: string;
}

/**
 * @param path of a backup, in any of the ways that generation.ts knows
 * @throws KitError `kind-unknown`, `kit-retired`, `backup-before-handover`, and those of
 *   generation.ts and suits.ts
 */
export async function openHome(
  kit: Kit,
  path: string,
  { campaign, secrets, record }: Bench,
): Promise<Home> {
  const brought = restorableFiles(kit, campaign);
  if (record.lastDone(kit.name, 'retire') !== undefined) throw retired(kit);
  const generation = await openGeneration(path);
  const erased = await secrets.isErased(kit);
  const kept = !erased && (await secrets.isKept(kit)) ? await secrets.kit(kit) : undefined;
  const known = kept?.sshHostKey.fingerprint ?? recordedKey(kit, record);
  const identity = identityOf(generation.backup, { kit, campaign, known, brought });
  if (erased && !identity.handedOver) throw beforeHandover(generation);
  const owners = erased || (kept === undefined && identity.handedOver);
  return { kit, generation, identity, kept, owners, leftOut: brought.leftOut };
}

/** Of the drive that was last written for it. */
function recordedKey(kit: Kit, record: Bench['record']): string | undefined {
  const known = record.lastDone(kit.name, 'flash')?.detail['hostKeyFingerprint'];
  return typeof known === 'string' ? known : undefined;
}

/** What comes back, from when, and what is lost: for a person, before anything is done. */
export function homeText({ kit, generation, owners, leftOut }: Home, nowMs: number): string {
  const { backup } = generation;
  const madeAtMs = backup.madeAtS * 1000;
  const at = new Date(madeAtMs).toISOString().slice(0, 16).replace('T', ' ');
  const archives = `${backup.parts.length - 1} archives of ${generation.folder}`;
  const what = `${kit.name} (${backup.kind}, ${backup.domain})`;
  return [
    `${what} comes back as it was at ${at} UTC, ${ago(nowMs - madeAtMs)}:`,
    `  ${archives}, ${(backup.dataBytes / 1e6).toFixed(1)} MB of data`,
    '  the same domain, host key, certificate, accounts, posts, followers',
    ...(owners ? ['  the passphrase and the recovery codes, as their owner had them then'] : []),
    'Lost is what happened on it since; a recovery code used since serves again.',
    `Not in any backup: ${leftOut}.`,
  ].join('\n');
}

function ago(elapsedMs: number): string {
  const hours = Math.round(elapsedMs / 3_600_000);
  if (hours < 0) return 'by a clock that was ahead of the bench’s';
  if (hours < 1) return 'less than an hour ago';
  return hours < 48 ? `${hours} h ago` : `${Math.round(hours / 24)} days ago`;
}

/**
 * Everything after the new drive was started in the node.
 * @throws KitError `node-inhabited`, `restore-no-room`, `bench-still-let-in`,
 *   `withdrawal-unproven`, and those of configuring a node
 */
export async function restoreNode(home: Home, deps: RestoreDeps): Promise<Detail> {
  const { kit, generation, identity } = home;
  const { record } = deps;
  const detail: Detail = {
    generation: generation.name,
    seal: generation.backup.seal,
    madeAtS: generation.backup.madeAtS,
    hostKeyFingerprint: identity.sshHostKey.fingerprint,
  };
  const mayBeShut = hasBegunToWithdraw(kit, generation.backup.seal, record);
  record.start(kit.name, 'restore', detail);
  try {
    const secrets = await secretsOf(home, deps);
    const address = addressOf(kit, secrets);
    const connection = await reachUnlessShut(address, { home, deps, mayBeShut });
    if (connection === undefined) {
      deps.report(`${kit.name}: it is back, and refuses the bench already`);
    } else {
      await bringBack(home, connection, { secrets, address, deps });
      if (home.owners) {
        record.start(kit.name, 'restore', { ...detail, withdrawing: true });
        await shutOut(home, { secrets, address, deps });
      }
    }
    record.done(kit.name, 'restore', detail);
    return detail;
  } catch (error) {
    record.fail(kit.name, 'restore', error);
    throw error;
  }
}

/** A run that was cut off after the withdrawal finds the door shut, as it should be. */
function hasBegunToWithdraw(kit: Kit, seal: string, record: Bench['record']): boolean {
  const flashed = record.latest(kit.name, 'flash')?.id ?? 0;
  return record
    .history(kit.name)
    .filter(({ id, step }) => id > flashed && step === 'restore')
    .some(({ detail }) => detail['withdrawing'] === true && detail['seal'] === seal);
}

/** The backup's, but where the bench has its own; a certificate near its end is made anew. */
async function secretsOf({ kit, identity, kept }: Home, deps: RestoreDeps): Promise<RestoredSecrets> {
  const campaign = await deps.secrets.campaign();
  if (kept !== undefined) return { campaign, kit: kept };
  const { sshHostKey, tls } = identity;
  if (tls !== undefined) {
    if (isFresh(tls, kit.domain, deps.now())) return { campaign, kit: { sshHostKey, tls } };
    deps.report(`${kit.name}: its certificate is near its end; a new one is made`);
  }
  return { campaign, kit: { sshHostKey, tls: await deps.secrets.issueCertificate(kit.domain) } };
}

async function reachUnlessShut(
  address: NodeAddress,
  { home, deps, mayBeShut }: { home: Home; deps: RestoreDeps; mayBeShut: boolean },
): Promise<NodeConnection | undefined> {
  try {
    return await reach(address, optionsOf(home, deps));
  } catch (error) {
    const refused = error instanceof KitError && error.code === 'login-refused';
    if (mayBeShut && refused) return undefined;
    throw error;
  }
}

function optionsOf({ kit }: Home, { connect, patienceMs, report }: RestoreDeps) {
  const tell = ({ type, text }: NodeEvent): void => {
    if (type !== 'plan') report(text);
  };
  return { kit: kit.name, connect, patienceMs, report: tell };
}

interface Means {
  secrets: RestoredSecrets;
  address: NodeAddress;
  deps: RestoreDeps;
}

/** The data before the settings: no account of another key is ever served under this domain. */
async function bringBack(
  home: Home,
  connection: NodeConnection,
  { secrets, address, deps }: Means,
): Promise<void> {
  const { kit, generation, identity } = home;
  const { campaign, report } = deps;
  const restoration = restorationOf(kit, campaign, secrets);
  const desired: PutBack = {
    ...{ kit: kit.name, name: generation.name, backup: generation.backup },
    ...{ files: identity.files, restoration },
  };
  try {
    await sendGeneration(connection, generation, { desired, report });
  } finally {
    connection.close();
  }
  const options = { ...optionsOf(home, deps), address };
  await configureNode(putBack, desired, options);
  await restoration.configure(options);
  if (!identity.handedOver) return;
  const granted = {
    ...{ owner: kit.owner, secrets: undefined },
    texts: (await ownerTexts(kit.language)).texts.recover,
    hooks: handoverOf(campaign).files(hookFolder),
    reading: handoverOf(campaign).sshd,
  };
  report(`${kit.name}: letting the owner in, by the passphrase and codes as they were`);
  await configureNode(grant, granted, options);
}

async function shutOut(home: Home, { secrets, address, deps }: Means): Promise<void> {
  const { kit } = home;
  const { publicLine } = secrets.campaign.benchLogin;
  deps.report(`${kit.name}: withdrawing the bench’s key`);
  const withdrawn = { publicLine, owner: kit.owner };
  await configureNode(withdrawal, withdrawn, { ...optionsOf(home, deps), address });
  deps.report(`${kit.name}: proving that it refuses the bench`);
  await proveShutOut(kit, address, { connect: deps.connect });
}

function retired(kit: Kit): KitError {
  return new KitError({
    code: 'kit-retired',
    message: `${kit.name} was retired`,
    expected: 'a kit that serves',
    got: 'one that nobody makes again',
    hint: 'Give the home a kit of another name.',
  });
}

function beforeHandover({ folder, backup }: Generation): KitError {
  return new KitError({
    code: 'backup-before-handover',
    message: 'The backup is from before the kit was handed over',
    expected: 'one that holds the owner’s login and recovery codes',
    got: `${folder}, made ${new Date(backup.madeAtS * 1000).toISOString().slice(0, 16)}Z`,
    hint: 'Take a later generation: with this one nobody could log in any more.',
  });
}
