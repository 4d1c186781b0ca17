// What is tested: an image, and a kit of a campaign of its own, flashed by the project's own command
// onto a file that stands for a drive. Everything lies in one folder.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { atWorkbench } from '../../provisioner/bench/workbench.ts';
import type { Campaign, Kit } from '../../provisioner/campaign/campaign.ts';
import { identityFiles } from '../../provisioner/drive/identity-files.ts';
import { readManifest, type ImageManifest } from '../../provisioner/drive/manifest.ts';
import type { NodeSecrets } from '../../provisioner/node/kinds.ts';
import { runCommand } from '../../provisioner/try/command-line.ts';
import type { Firmware } from '../../provisioner/virtual/board.ts';

export interface Subject {
  name: string;
  arch: 'amd64' | 'arm64';
  firmware: Firmware;
  /** This test's own folder. */
  dir: string;
  /** Path of the compressed image; builds it where there is none. */
  image(): Promise<string>;
  /** How many crash states are made of a recorded boot. */
  states: number;
  /** How long to count what an idle node writes; none: not at all. */
  idleMinutes: number;
  signal: AbortSignal;
}

export interface FlashedKit {
  kit: Kit;
  campaign: Campaign;
  secrets: NodeSecrets;
  /** What was put into /kit/. */
  identity: Map<string, string>;
  drive: string;
  manifest: ImageManifest;
}

/** Larger than any image, so that its root has to grow. */
const driveSize = '8G';
const kitName = 'wren';

export async function findImage(options: {
  name: string;
  arch: string;
  images: string;
  file: string | undefined;
  signal: AbortSignal;
}): Promise<string> {
  const { name, arch, images, signal } = options;
  const file = options.file ?? join(images, `${name}-${arch}.img.zst`);
  if (options.file === undefined && !existsSync(file)) {
    const words = ['image', 'build', name, '--arch', arch, '--out', images];
    await runCommand({ program: 'kit', global: ['--json-events'], words, signal });
  }
  return resolve(file);
}

/** Makes the campaign, and writes its kit with `kit flash`. */
export async function flashKit(subject: Subject, image: string): Promise<FlashedKit> {
  const { dir, signal } = subject;
  const campaignFile = join(dir, 'campaign.toml');
  const identity = join(dir, 'volunteer.key');
  const drive = join(dir, 'drive.img');
  await writeFile(campaignFile, campaignText(subject));
  const flags = ['--campaign', campaignFile, '--identity', identity];
  const global = ['--json-events', ...flags];
  giveWifi([...flags, 'wifi', kitName]);
  const words = ['flash', kitName, '--drive', drive, '--size', driveSize, '--image', image, '--yes'];
  await runCommand({ program: 'kit', global, words, signal });
  const manifest = await readManifest(image);
  const options = { campaign: campaignFile, identity, kits: [kitName] };
  return atWorkbench(options, async ({ campaign, secrets }, [kit]) => {
    const opened = { kit: await secrets.kit(kit), campaign: await secrets.campaign() };
    const files = identityFiles(campaign, kit, opened);
    return { ...{ kit, campaign, drive, manifest }, secrets: opened, identity: files };
  });
}

/** What a shell, iwd and hostapd would each read otherwise, if they were let. */
const wifiPassphrase = "it's $HOME \\ of \"5\"";
const ssid = 'Wrens & 5%';

function giveWifi(words: string[]): void {
  const kit = fileURLToPath(new URL('../../provisioner/kit.ts', import.meta.url));
  execFileSync(process.execPath, [kit, ...words], { input: `${wifiPassphrase}\n` });
}

function campaignText({ name, arch }: Subject): string {
  return `name = "Boot test"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "${name}"
arch = "${arch}"
timezone = "Europe/Vienna"

[[kit]]
name = "${kitName}"
domain = "${kitName}.test"
owner = "wren"
network = { wifi = { ssid = "${ssid}", country = "AT" } }
`;
}
