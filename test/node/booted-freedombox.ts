// A FreedomBox on a real drive: written by `kit flash`, booted by QEMU with an address of its own,
// configured by `kit configure` while its plug is pulled, checked against another server, backed up
// to a drive on USB; then its drive dies, and `kit restore` brings it back on a new one. What a
// container cannot show: the kernel, the first boot's settings, NetworkManager, firewalld on a real
// line, the drive.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Kit } from '../../provisioner/campaign/campaign.ts';
import { humanOf } from '../../provisioner/check/command.ts';
import type { Check } from '../../provisioner/check/finding.ts';
import type { NodeSecrets } from '../../provisioner/node/kinds.ts';
import { backupLabel } from '../../provisioner/node/part/second-drive.ts';
import { runCommand, type CommandRun } from '../../provisioner/try/command-line.ts';
import { connectPower, type Power } from '../boot/power.ts';
import type { TestBench } from '../helpers/bench.ts';
import { lastDay, seen } from './restored-freedombox.ts';

export interface DriveTrial {
  /** A folder of its own. */
  dir: string;
  bench: TestBench;
  kit: Kit;
  secrets: NodeSecrets;
  /** Path of the compressed image. */
  image: string;
  /** Where the machine's cable goes. */
  tap: string;
  /** Whom to federate with: @user@domain. */
  peer: string;
  /** Names of checks that fail here. */
  expectedFailures: string[];
  /** Draws from 0 to 1. */
  random: () => number;
  cuts: number;
}

const driveSize = '8G';
const stickBytes = 2 ** 30;
/** FreedomBox's own first setup, emulated on a busy machine, is waited for by the node itself. */
const patienceS = '900';
/** A cut falls so long after its step began. */
const cutWithinMs = 240_000;

/** @throws AssertionError, and kit's own errors, with what was not as it should be */
export async function tryOnDrive(trial: DriveTrial): Promise<void> {
  const { dir, kit, secrets } = trial;
  const [stick, from] = [join(dir, 'stick.img'), join(dir, 'stick')];
  let drive = join(dir, 'drive.img');
  let isMounted = false;
  const stop = new AbortController();
  const power = connectPower(
    { arch: 'amd64', firmware: 'bios', dir, signal: stop.signal, lan: { tap: trial.tap } },
    () => ({ kit, secrets, drive }),
  );
  const bench = { ...trial, power, run: kitOf(trial, stop.signal) };
  try {
    await bench.run(['flash', kit.name, ...writing(drive, trial)]);
    await power.on({ cable: true });
    await configureCutOff(bench);
    assert.deepEqual(await configure('again', bench), []);
    await power.pullPlug();
    makeStick(stick);
    await power.on({ cable: true, stick });
    assert.deepEqual(await configure('after its plug was pulled', bench), []);
    await hasItsAddress(bench);
    await isFit(bench);

    const ask = askOf(power);
    await ask(lastDay(kit.owner));
    await ask('commons-backup make');
    const home = await ask(seen(kit.owner));
    await power.pullPlug();
    rmSync(drive);
    mkdirSync(from);
    execFileSync('mount', ['-o', 'ro,loop', stick, from]);
    isMounted = true;
    drive = join(dir, 'new.img');
    await bench.run(['restore', kit.name, '--from', from, ...writing(drive, trial)]);
    await power.on({ cable: true });
    const startMs = performance.now();
    await bench.run(['restore', kit.name, '--from', from, '--wait', patienceS], { onProgress });
    console.log(`restored in ${secondsSince(startMs)} s`);
    assert.equal(await ask(seen(kit.owner)), home);
    assert.deepEqual(await configure('restored', bench), []);
    await hasItsAddress(bench);
    await isFit(bench);
  } finally {
    stop.abort();
    await power.pullPlug();
    if (isMounted) execFileSync('umount', [from]);
  }
}

interface Bench extends DriveTrial {
  power: Power;
  run: (words: string[], how?: Partial<CommandRun>) => Promise<any>;
}

/** `kit`, as a volunteer says it. */
function kitOf({ bench }: DriveTrial, signal: AbortSignal): Bench['run'] {
  const flags = ['--campaign', join(bench.dir, 'campaign.toml')];
  const global = ['--json-events', ...flags, '--identity', join(bench.dir, 'volunteer.key')];
  return async (words, how) =>
    (await runCommand({ program: 'kit', global, words, signal, ...how })).result;
}

function writing(drive: string, { image }: DriveTrial): string[] {
  return ['--drive', drive, '--image', image, '--size', driveSize, '--yes'];
}

const onProgress = (text: string): void => console.log(`  ${text}`);

/** Its plug is pulled while its first setup runs; the bench goes on by itself. */
async function configureCutOff({ kit, cuts, random, power, run }: Bench): Promise<void> {
  let step = '';
  const startMs = performance.now();
  const follow = (text: string): void => onProgress((step = text));
  const running = run(['configure', kit.name, '--wait', patienceS], { onProgress: follow });
  // What it ends with is told below; or what ended the wait for it is.
  running.catch(() => undefined);
  const passes = (ms: number) => Promise.race([running, sleep(ms)]);
  for (let cut = 1; cut <= cuts; cut++) {
    while (!step.includes('wizard')) {
      assert.equal(await passes(200), undefined, 'it was configured before its plug was pulled');
    }
    const afterMs = Math.round(random() * cutWithinMs);
    assert.equal(await passes(afterMs), undefined, 'it was configured before its plug was pulled');
    await power.pullPlug();
    console.log(`cut ${cut}, ${(afterMs / 1000).toFixed(0)} s into its first setup`);
    step = '';
    await power.on({ cable: true });
  }
  const [{ steps }] = await running;
  assert.ok(steps.length > 10);
  console.log(`from its first boot: ${steps.length} steps, ${secondsSince(startMs)} s`);
}

/** @returns names of the steps that it took */
async function configure(about: string, { kit, run }: Bench): Promise<string[]> {
  const words = ['configure', kit.name, '--wait', patienceS];
  const [{ steps, elapsed_ms: elapsedMs }] = await run(words);
  console.log(`${about}: ${steps.length} steps, ${(elapsedMs / 1000).toFixed(1)} s`);
  return steps.map(({ name }: { name: string }) => name);
}

/** The kit's own profile rules the line, no other was made beside it, and the home may reach it. */
async function hasItsAddress({ kit, power }: Bench): Promise<void> {
  const told = await askOf(power)(`nmcli -t -f NAME,TYPE connection show | grep -v ':loopback$'
ip -4 -o addr show scope global | awk '{ print $4 }'
firewall-cmd --get-zone-of-interface=$(ip -4 route show default | awk '{ print $5 }')`);
  assert.ok(kit.network.fixed);
  assert.equal(told, `kit:802-3-ethernet\n${kit.network.fixed.address}\ninternal`);
}

async function isFit({ kit, peer, expectedFailures, run }: Bench): Promise<void> {
  const { checks } = await run(['check', kit.name, '--peer', peer], { accept: [0, 1] });
  console.log(humanOf(kit.name, checks));
  const failed = (checks as Check[]).filter(({ state }) => state === 'failed');
  assert.deepEqual(failed.map(({ name }) => name), expectedFailures);
}

function askOf(power: Power): (script: string) => Promise<string> {
  return async (script) => {
    const connection = await power.login();
    const { stdout, stderr, exitCode } = await connection.run(script, { timeoutMs: 600_000 });
    assert.equal(exitCode, 0, `${script}\n${stdout}\n${stderr}`);
    return stdout.trim();
  };
}

function makeStick(path: string): void {
  writeFileSync(path, '');
  truncateSync(path, stickBytes);
  execFileSync('mkfs.ext4', ['-q', '-L', backupLabel, path]);
}

const secondsSince = (startMs: number): string => ((performance.now() - startMs) / 1000).toFixed(0);
