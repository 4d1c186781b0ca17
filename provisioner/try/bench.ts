// The bench's part of a trial: the campaign, the image, the drive, and the tree of the second server.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { $ } from 'zx';
import { replaceDurably } from '../campaign/durable.ts';
import { DOMAIN, KIT, LEDGER_DOMAIN, OWNER, PEER_DOMAIN, type Trial } from './trial.ts';

const ROOT_TAR = 'snac-amd64.root.tar';

/** Builds the image, with its root as a tar. */
export async function buildImage(trial: Trial, say: (text: string) => void): Promise<void> {
  const words = ['image', 'build', 'snac', '--out', trial.folder.images, '--root-tar'];
  await trial.kit(words, { onProgress: say });
}

/**
 * Writes the campaign if there is none, puts the kit on its drive if it is not there, and unpacks
 * the second server's tree. A new drive gets a new second server: servers that met before remember
 * each other's keys, and an account that began anew would be taken for a forger.
 */
export async function makeDrive(trial: Trial, say: (text: string) => void): Promise<void> {
  const { folder } = trial;
  if (!existsSync(folder.campaign)) await writeCampaign(trial);
  const tree = join(folder.peer, 'tree');
  const whole = `${tree}.whole`;
  if (!existsSync(folder.drive)) rmSync(whole, { force: true });
  const to = ['--drive', folder.drive, '--images', folder.images, '--yes'];
  await trial.kit(['make', KIT, ...to, '--until', 'flash'], { onProgress: say });
  if (existsSync(whole)) return;
  say("unpacking the second server's tree");
  rmSync(tree, { recursive: true, force: true });
  await mkdir(tree, { recursive: true });
  // An ordinary user may make no device nodes; the peer mounts the bench's own.
  await $`tar -x --numeric-owner --exclude=./dev/* -f ${join(folder.images, ROOT_TAR)} -C ${tree}`.quiet();
  await replaceDurably(whole, '');
}

/** `kit new`, then the two changes that a volunteer would make by hand for a trial. */
async function writeCampaign(trial: Trial): Promise<void> {
  const { campaign } = trial.folder;
  const draft = join(dirname(campaign), 'draft.toml');
  rmSync(draft, { force: true });
  const answers = ['--name', 'Trial commons', '--ledger', `http://${LEDGER_DOMAIN}`];
  const kit = ['--kit', `${KIT}:${DOMAIN}:${OWNER}`];
  await trial.kit(['new', ...answers, ...kit], { global: ['--json-events', '--campaign', draft] });
  const text = readFileSync(draft, 'utf8')
    // Every reading of a trial may be seen, or its audit would wait for the day's end.
    .replace('publish = "day"', 'publish = "batch"')
    .replace('\n# One [[kit]]', `\n# The second server's domain.\nca_domains = ["${PEER_DOMAIN}"]\n\n# One [[kit]]`);
  writeFileSync(draft, text);
  await replaceDurably(campaign, text);
  rmSync(draft);
}
