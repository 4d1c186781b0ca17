// The end of a journey: `kit check` on the finished kit, a request with the owner's key, `ledger
// audit` from the public files and the policy that the auditor holds, the label, and a picture of the
// node's page.

import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { $ } from 'zx';
import { atWorkbench } from '../bench/workbench.ts';
import { findKit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import type { Federation } from './federation.ts';
import type { TrialLedger } from './ledger.ts';
import type { TrialMeter } from './meter.ts';
import type { TrialNode } from './node.ts';
import { KIT, type Trial } from './trial.ts';

export interface Proof {
  /** `kit check`'s document. */
  check: { fit: boolean; failed: number; unknown: number; checks: { name: string; state: string }[] };
  /** `ledger audit`'s document. */
  audit: any;
  label: string[];
  page: string;
}

const PICTURE_LIMIT_MS = 60_000;

export async function prove(
  trial: Trial,
  parts: { node: TrialNode; federation: Federation; ledger: TrialLedger; meter: TrialMeter },
  say: (text: string) => void,
): Promise<Proof> {
  const { folder } = trial;
  const check = await checkKit(trial, parts, say);
  const asked = await askAsOwner(trial, parts, say);
  say('auditing the ledger from its public files');
  const audited = await trial.ledger(
    ['audit', folder.ledger, '--policy', folder.policy, '--json'],
    { accept: [0, 1] },
  );
  if (audited.status !== 0) throw auditFailed(audited.result);
  refuseUntold(audited.result, asked);
  say('printing the label');
  mkdirSync(folder.label, { recursive: true });
  const { result } = await trial.kit(['label', KIT, '--out', folder.label]);
  say("taking the page's picture");
  await takePicture(`${parts.ledger.url}/node/${parts.meter.id}`, folder.page);
  writeFileSync(folder.screen, parts.meter.screenPng());
  const label = result.labels.flatMap(({ pdf, png }: { pdf: string; png: string }) => [pdf, png]);
  return { check, audit: audited.result, label, page: folder.page };
}

async function checkKit(
  trial: Trial,
  { node, federation }: { node: TrialNode; federation: Federation },
  say: (text: string) => void,
): Promise<Proof['check']> {
  const words = ['check', KIT, '--peer', federation.peer.account];
  const run = { enter: node.home.enter, onProgress: say, accept: [0, 1] };
  const { status, result } = await trial.kit(words, run);
  if (status === 0) return result;
  const failed = result.checks.filter(({ state }: { state: string }) => state === 'failed');
  throw new KitError({
    code: 'kit-unfit',
    message: `${KIT} is not fit to ship`,
    got: failed
      .map((check: Record<string, string>) => `${check.name}: ${check.measured}`)
      .join('; '),
  });
}

/**
 * As the owner will, with the key on the leaflet: to publish what is published already, so that only
 * the log changes. Null where an earlier journey paired the meter without such a key.
 * @returns the entry
 */
async function askAsOwner(
  trial: Trial,
  { ledger, meter }: { ledger: TrialLedger; meter: TrialMeter },
  say: (text: string) => void,
): Promise<number | null> {
  const key = await atWorkbench(trial.folder, async ({ campaign, record, secrets }) => {
    const isNamed = typeof record.lastDone(KIT, 'pair')?.detail['ownerKey'] === 'string';
    return isNamed ? secrets.ownerKey(findKit(campaign, KIT)) : undefined;
  });
  if (key === undefined) return null;
  say('asking the ledger with the owner’s key');
  const where = ['--ledger', ledger.url, '--key', '-'];
  const words = ['ask', meter.id, ...where, '--publish', 'batch', '--json'];
  const { result } = await trial.ledger(words, { input: `${key}\n` });
  return result.index;
}

/** The audit must tell what the owner asked. */
function refuseUntold(report: any, asked: number | null): void {
  const told = report.requests.some(({ index, by }: { index: number; by: string }) =>
    index === asked && by === 'owner');
  if (asked === null || told) return;
  throw new KitError({
    code: 'audit-failed',
    message: 'The audit does not tell what the owner asked',
    expected: `the owner’s request, entry ${asked}`,
    got: JSON.stringify(report.requests).slice(0, 2000),
  });
}

function auditFailed(report: any): KitError {
  return new KitError({
    code: 'audit-failed',
    message: 'The ledger does not pass its audit',
    got: JSON.stringify(report?.findings ?? report).slice(0, 2000),
  });
}

/** Chromium without a window; it must not ask the world for anything. */
async function takePicture(url: string, path: string): Promise<void> {
  const profile = join(path, '..', 'chromium');
  rmSync(path, { force: true });
  const quiet = ['--disable-quic', '--no-first-run', '--disable-background-networking'];
  const more = ['--disable-component-update', '--disable-sync', '--disable-gpu', '--no-sandbox'];
  const shot = ['--window-size=1100,1900', `--screenshot=${path}`, `--user-data-dir=${profile}`];
  await $`chromium --headless ${quiet} ${more} ${shot} ${url}`.quiet().timeout(PICTURE_LIMIT_MS);
  rmSync(profile, { recursive: true, force: true });
  if (existsSync(path)) return;
  throw new KitError({ code: 'no-picture', message: 'Chromium took no picture of the page' });
}
