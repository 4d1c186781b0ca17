// What is tested: an image, and a kit of a campaign of its own, flashed by the project's own command
// onto a file that stands for a drive. Everything lies in one folder.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { atWorkbench } from '../../provisioner/bench/workbench.ts';
import type { Campaign, Kit } from '../../provisioner/campaign/campaign.ts';
import { identityFiles } from '../../provisioner/drive/identity-files.ts';
import type { FlashProgress, FlashResult } from '../../provisioner/drive/job.ts';
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
  /** What an interrupted run had left on the drive. */
  resumedAtBytes: number;
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

/** The bench, and what `kit flash` is told there. */
export interface FlashBench {
  campaignFile: string;
  identity: string;
  drive: string;
  image: string;
  words: string[];
}

/** Makes the campaign, with its kit's Wi-Fi. */
export async function openFlashBench(subject: Subject, image: string): Promise<FlashBench> {
  const { dir } = subject;
  const campaignFile = join(dir, 'campaign.toml');
  const identity = join(dir, 'volunteer.key');
  const drive = join(dir, 'drive.img');
  await writeFile(campaignFile, campaignText(subject));
  const flags = ['--campaign', campaignFile, '--identity', identity];
  giveWifi([...flags, 'wifi', kitName]);
  const flash = ['flash', kitName, '--drive', drive, '--size', driveSize, '--image', image, '--yes'];
  return { campaignFile, identity, drive, image, words: ['--json-events', ...flags, ...flash] };
}

/** A moment of `kit flash`, as its progress tells them. */
export interface FlashMoment {
  phase: FlashProgress['phase'];
  /** Of the phase's bytes, 0 to 1. */
  share: number;
}

/** Starts `kit flash`, and kills it as soon as it has told of `moment`. */
export async function killFlash(bench: FlashBench, moment: FlashMoment): Promise<void> {
  const child = spawn(process.execPath, [kitScript, ...bench.words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  for await (const line of createInterface({ input: child.stdout })) {
    const { type, phase, doneBytes, totalBytes }: FlashProgress & { type: string } = JSON.parse(line);
    const reached = type === 'flash' && phase === moment.phase;
    if (reached && doneBytes >= moment.share * totalBytes) child.kill('SIGKILL');
  }
  const [, signal] = await ended;
  assert.equal(signal, 'SIGKILL', `it ended before ${moment.phase} came to ${moment.share}`);
}

/** Writes the kit with `kit flash`, or the rest of what a killed one had begun. */
export async function flashKit(subject: Subject, bench: FlashBench): Promise<FlashedKit> {
  const { campaignFile, identity, drive, image, words } = bench;
  const { result } = await runCommand({ program: 'kit', words, signal: subject.signal });
  const manifest = await readManifest(image);
  const options = { campaign: campaignFile, identity, kits: [kitName] };
  return atWorkbench(options, async ({ campaign, secrets }, [kit]) => {
    const opened = { kit: await secrets.kit(kit), campaign: await secrets.campaign() };
    const files = identityFiles(campaign, kit, opened);
    const { resumedAtBytes }: FlashResult = result.drives[0];
    const flashed = { kit, campaign, drive, manifest, resumedAtBytes };
    return { ...flashed, secrets: opened, identity: files };
  });
}

const kitScript = fileURLToPath(new URL('../../provisioner/kit.ts', import.meta.url));

/** What a shell, iwd and hostapd would each read otherwise, if they were let. */
const wifiPassphrase = "it's $HOME \\ of \"5\"";
const ssid = 'Wrens & 5%';

function giveWifi(words: string[]): void {
  execFileSync(process.execPath, [kitScript, ...words], { input: `${wifiPassphrase}\n` });
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
