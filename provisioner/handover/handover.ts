// `kit handover`: a kit becomes its owner's. Printed first, then granted, then withdrawn and proven,
// and erased last: cut off anywhere, either the bench still has everything, or the owner's paper
// has been read by somebody and opens the node. Said again, it goes on where it was.

import type { Detail } from '../bench/record.ts';
import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { configureNode, type NodeEvent } from '../node/configure.ts';
import type { Connect, NodeAddress } from '../node/connection.ts';
import { addressOf, handoverOf } from '../node/kinds.ts';
import { grant } from './access/grant.ts';
import { proveLetIn, proveShutOut } from './access/prove.ts';
import { hookFolder, recoverUser } from './access/recovery-programs.ts';
import { withdrawal } from './access/withdraw.ts';
import { eraseKit } from './erase.ts';
import type { PrintedLeaflet } from './print.ts';
import { ownerTexts } from './texts.ts';

export interface HandoverDeps extends Pick<Workbench, 'campaign' | 'secrets' | 'record'> {
  /** TCP unless told otherwise. */
  connect?: Connect;
  patienceMs?: number;
  report(text: string): void;
}

/**
 * Refuses a kit that was not proven fit since it was last changed, or of no kind that is known.
 * @param reason why it goes out all the same: recorded
 * @throws KitError `kit-unproven`, `kind-unknown`
 */
export function refuseUnready(
  kit: Kit,
  { campaign, record }: Pick<Workbench, 'campaign' | 'record'>,
  reason: string | undefined,
): void {
  handoverOf(campaign);
  if (reason !== undefined) return;
  const check = record.latest(kit.name, 'check');
  const changes = ['flash', 'configure', 'pair'].map((step) => record.latest(kit.name, step)?.id ?? 0);
  if (check?.status === 'done' && check.id > Math.max(...changes)) return;
  const states = { done: 'changed since its last check', failed: 'not fit', started: 'unfinished' };
  throw new KitError({
    code: 'kit-unproven',
    message: `${kit.name} is not proven fit to ship`,
    expected: 'a check that passed, and nothing changed since',
    got: check === undefined ? 'no check' : `its last check: ${states[check.status]}`,
    hint: `Run kit check ${kit.name}, or say with --unproven REASON why it goes out as it is.`,
  });
}

/**
 * Everything after somebody has read the leaflet.
 * @throws KitError `bench-still-let-in`, `withdrawal-unproven`, `others-let-in`,
 *   `let-in-otherwise`, `bench-key-on-esp`, and those of configuring a node
 */
export async function handOverKit(
  kit: Kit,
  { leaflet, reason }: { leaflet: PrintedLeaflet; reason?: string },
  deps: HandoverDeps,
): Promise<Detail> {
  const { record, secrets } = deps;
  const { sshHostKey } = await secrets.kit(kit);
  const detail = {
    hostKeyFingerprint: sshHostKey.fingerprint,
    ...(reason !== undefined && { unproven: reason }),
  };
  record.start(kit.name, 'handover', detail);
  try {
    await changeHands(kit, leaflet, deps);
    deps.report(`${kit.name}: erasing the bench’s copy of the owner’s secrets`);
    await eraseKit(kit, deps);
    record.done(kit.name, 'handover', detail);
    return detail;
  } catch (error) {
    record.fail(kit.name, 'handover', error);
    throw error;
  }
}

/**
 * The rest of a hand-over that was cut off within the erasing: it needs nothing of what is gone.
 * @returns whether this kit was handed over, and not retired before
 */
export async function finishErasing(
  kit: Kit,
  { record, secrets }: Pick<Workbench, 'record' | 'secrets'>,
): Promise<boolean> {
  await eraseKit(kit, { record, secrets });
  if (record.lastDone(kit.name, 'handover') !== undefined) return true;
  const begun = record
    .history(kit.name)
    .findLast(({ step, status }) => step === 'handover' && status === 'started');
  if (begun === undefined || record.latest(kit.name, 'retire') !== undefined) return false;
  record.done(kit.name, 'handover', begun.detail);
  return true;
}

async function changeHands(kit: Kit, leaflet: PrintedLeaflet, deps: HandoverDeps): Promise<void> {
  const { campaign, secrets, connect, patienceMs, report } = deps;
  const opened = { campaign: await secrets.campaign(), kit: await secrets.kit(kit) };
  const { ownerPassphrase: passphrase } = opened.kit;
  const bench = addressOf(kit, opened);
  const owner: NodeAddress = { ...bench, account: { user: kit.owner, passphrase } };
  const { files, sshd } = handoverOf(campaign);
  const options = { kit: kit.name, connect, patienceMs, report: tell(report) };
  const desired = {
    owner: kit.owner,
    secrets: { passphrase, recoveryCodes: leaflet.secrets.recoveryCodes },
    texts: (await ownerTexts(kit.language)).texts.recover,
    hooks: files(hookFolder),
    reading: sshd,
  };
  if (await isWithdrawn(bench, owner, { connect })) return;
  report(`${kit.name}: letting the owner in`);
  await configureNode(grant, desired, { ...options, address: bench });
  report(`${kit.name}: proving that the owner’s passphrase opens it, and that it takes codes`);
  await proveLetIn(owner, { connect });
  await proveLetIn({ ...bench, account: { user: recoverUser, passphrase: '' } }, { connect });
  report(`${kit.name}: withdrawing the bench’s key`);
  const { publicLine } = opened.campaign.benchLogin;
  const withdrawn = { publicLine, owner: kit.owner };
  await configureNode(withdrawal, withdrawn, { ...options, address: bench });
  report(`${kit.name}: proving that it refuses the bench`);
  await proveShutOut(kit, bench, { connect });
}

/** A run that was cut off right after it: the bench is refused, and the owner's paper opens. */
async function isWithdrawn(
  bench: NodeAddress,
  owner: NodeAddress,
  options: { connect?: Connect },
): Promise<boolean> {
  try {
    await proveLetIn(bench, options);
    return false;
  } catch (error) {
    if (!(error instanceof KitError && error.code === 'login-refused')) throw error;
    await proveLetIn(owner, options);
    return true;
  }
}

const tell = (report: HandoverDeps['report']) => ({ type, text }: NodeEvent): void => {
  if (type === 'step' || type === 'waiting') report(text);
};
