// The bench's part of a trial: the campaign, the image, the drive, and the tree of the second server.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { $ } from 'zx';
import { replaceDurably } from '../campaign/durable.ts';
import { DOMAIN, KIT, LEDGER_DOMAIN, OWNER, PEER_DOMAIN, type Trial } from './trial.ts';

/** Builds the image, with its root as a tar, and unpacks that for the second server. */
export async function buildImage(trial: Trial, say: (text: string) => void): Promise<void> {
  const { images, peer } = trial.folder;
  const words = ['image', 'build', 'snac', '--out', images, '--root-tar'];
  const { result } = await trial.kit(words, { onProgress: say });
  const tree = join(peer, 'tree');
  const whole = `${tree}.whole`;
  if (existsSync(whole) && readFileSync(whole, 'utf8') === result.rawSha256) return;
  say("unpacking the second server's tree");
  rmSync(tree, { recursive: true, force: true });
  await mkdir(tree, { recursive: true });
  await $`tar -x --numeric-owner -f ${result.rootTar} -C ${tree}`.quiet();
  await replaceDurably(whole, result.rawSha256);
}

/** Writes the campaign if there is none, and puts the kit on its drive if it is not there. */
export async function makeDrive(trial: Trial, say: (text: string) => void): Promise<void> {
  const { folder } = trial;
  if (!existsSync(folder.campaign)) await writeCampaign(trial);
  const to = ['--drive', folder.drive, '--images', folder.images, '--yes'];
  await trial.kit(['make', KIT, ...to, '--until', 'flash'], { onProgress: say });
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
