// The node as its own system tells it over SSH: clock, drive, first boot, secrets, services.
// Judging is pure; a node that cannot be logged into leaves all of it unknown.

import { secretTraces } from '../drive/kit-secrets.ts';
import { KitError } from '../errors.ts';
import { gatherFacts } from '../node/configure.ts';
import type { NodeConnection } from '../node/connection.ts';
import type { Inspection, NodeSecrets } from '../node/kinds.ts';
import { unitAmiss } from '../node/operation/units.ts';
import { judgeBackup } from './backup.ts';
import { judgeDiagnosis } from './diagnosis.ts';
import { failed, ok, reasonOf, unknown, type Check } from './finding.ts';
import { judgeHealth } from './health.ts';
import { healthFacts, type HealthFacts } from './health-facts.ts';
import { nodeFacts, type BootFacts, type NodeFacts } from './node-facts.ts';

export interface NodeDeps {
  secrets: NodeSecrets;
  inspection: Inspection;
  now: () => number;
  /** Why there is no connection. */
  why: unknown;
}

export interface NodeChecks {
  checks: Check[];
  /** Undefined: the node could not be asked. */
  facts: NodeFacts | undefined;
  health: HealthFacts | undefined;
}

const names = [
  ...['clock', 'disk', 'root-grown', 'first-boot', 'secrets-gone', 'firewall', 'services'],
  ...['time-server', 'power-cut', 'running', 'drive-speed', 'drive-health', 'backup'],
];

/** Two questions: the clock is compared with the bench's, and must not wait for what takes long. */
export async function checkNode(
  connection: NodeConnection | undefined,
  { secrets, inspection, now, why }: NodeDeps,
): Promise<NodeChecks> {
  const unseen = (measured: string): Check[] =>
    names.map((name) => unknown(name, measured, 'Mend `login` first.'));
  if (connection === undefined) {
    const login = failed('login', reasonOf(why), loginAdvice(why));
    const checks = [login, ...unseen('not seen: no login')];
    return { checks, facts: undefined, health: undefined };
  }
  const login = ok('login', `host key ${secrets.kit.sshHostKey.fingerprint}`);
  try {
    const askedMs = now();
    const facts = await gatherFacts(connection, nodeFacts(secretTraces(secrets.kit), inspection));
    const asked = { askedMs, answeredMs: now() };
    const health = await gatherFacts(connection, healthFacts());
    const checks = [
      ...judgeNode(facts, asked, inspection.units),
      ...judgeHealth(health),
      judgeBackup(health.backup, facts.clockMs),
      ...(await diagnosed(connection, inspection)),
    ];
    return { checks: [login, ...checks], facts, health };
  } catch (error) {
    return { checks: [login, ...unseen(reasonOf(error))], facts: undefined, health: undefined };
  }
}

/** Asked apart: a kind of node that does not look at itself has no such check. */
async function diagnosed(
  connection: NodeConnection,
  { diagnosis }: Inspection,
): Promise<Check[]> {
  if (diagnosis === undefined) return [];
  return [judgeDiagnosis((await gatherFacts(connection, { diagnosis })).diagnosis)];
}

function loginAdvice(why: unknown): string {
  const code = why instanceof KitError ? why.code : '';
  if (code === 'host-key-mismatch') return 'Another machine has this address: look who, first.';
  if (code === 'login-refused') return 'Was this drive flashed by this campaign? Flash it again.';
  return 'Is the node on, and on this network?';
}

/** HTTP signatures are refused by some servers when half a minute old (Mastodon allows more). */
const maxSkewMs = 10_000;
const minFreeBytes = 500_000_000;
const minFreeShare = 0.1;
/** systemd-repart leaves the secondary GPT and alignment at the end. */
const maxUnusedBytes = 64 * 1024 * 1024;

/** @param asked when the question left and when the answer was there, by the bench's clock */
export function judgeNode(
  facts: NodeFacts,
  asked: { askedMs: number; answeredMs: number },
  units: string[],
): Check[] {
  return [
    judgeClock(facts.clockMs, asked),
    ...judgeBoot(facts),
    facts.firewallLoaded
      ? ok('firewall', 'loaded')
      : failed('firewall', 'not loaded', 'Run `kit configure`.'),
    judgeServices(facts, units),
  ];
}

/** Of a node of any kind, configured or not. */
export function judgeBoot(facts: BootFacts): Check[] {
  return [
    judgeDisk(facts.disk),
    judgeRoot(facts),
    judgeFirstBoot(facts.firstBoot),
    judgeSecrets(facts.secretsOnEsp),
  ];
}

/** The node read its clock at some moment between question and answer. */
function judgeClock(clockMs: number, asked: { askedMs: number; answeredMs: number }): Check {
  const late = Math.max(0, asked.askedMs - clockMs);
  const early = Math.max(0, clockMs - asked.answeredMs);
  const skewMs = Math.max(late, early);
  const words = `at least ${(skewMs / 1000).toFixed(1)} s ${late > 0 ? 'late' : 'early'}`;
  if (skewMs <= maxSkewMs) return ok('clock', skewMs === 0 ? 'as the bench’s' : words);
  return failed('clock', words, 'Has it a way to a time server? Is the bench’s own clock right?');
}

function judgeDisk({ sizeBytes, freeBytes }: BootFacts['disk']): Check {
  const measured = `${gigabytes(freeBytes)} free of ${gigabytes(sizeBytes)}`;
  const wanted = Math.max(minFreeBytes, sizeBytes * minFreeShare);
  if (freeBytes >= wanted) return ok('disk', measured);
  return failed('disk', measured, `Use a larger drive: ${gigabytes(wanted)} should be free.`);
}

/** File systems keep a few percent for themselves. */
function judgeRoot({ partition, disk }: BootFacts): Check {
  const name = 'root-grown';
  if (partition === undefined) {
    return unknown(name, 'the root file system stands on no partition', 'Look at `lsblk` there.');
  }
  const { startBytes, sizeBytes, diskBytes } = partition;
  const unusedBytes = diskBytes - startBytes - sizeBytes;
  const measured = `${gigabytes(disk.sizeBytes)} on a drive of ${gigabytes(diskBytes)}`;
  if (unusedBytes <= maxUnusedBytes && disk.sizeBytes >= sizeBytes * 0.9) return ok(name, measured);
  return failed(name, measured, 'Reboot the node: its first boot grows the root file system.');
}

function judgeFirstBoot(firstBoot: BootFacts['firstBoot']): Check {
  const name = 'first-boot';
  if (firstBoot === undefined) {
    return failed(name, 'it left no account of itself', 'Was the drive flashed with this image?');
  }
  const { applied, failed: failures } = firstBoot;
  if (failures.length === 0) return ok(name, `${applied.length} settings applied`);
  const words = failures.map(({ setting, reason }) => `${setting}: ${reason}`).join('; ');
  return failed(name, words, 'Flash the drive again, or mend the campaign first.');
}

function judgeSecrets(left: string[] | undefined): Check {
  const name = 'secrets-gone';
  if (left === undefined) {
    return unknown(name, 'no boot partition could be read', 'Look at `lsblk` on the node.');
  }
  if (left.length === 0) return ok(name, 'no secret of the kit is on the boot partition');
  const advice = 'Reboot the node, and check again: do not ship it like this.';
  return failed(name, `the boot partition still holds: ${left.join(', ')}`, advice);
}

function judgeServices({ units: states }: NodeFacts, units: string[]): Check {
  const amiss = units.flatMap((unit) => unitAmiss(unit, states) ?? []);
  if (amiss.length === 0) return ok('services', `${units.length} enabled and active`);
  return failed('services', amiss.join(', '), 'Run `kit configure`; then look at their journal.');
}

function gigabytes(sizeBytes: number): string {
  return `${(sizeBytes / 1e9).toFixed(1)} GB`;
}
