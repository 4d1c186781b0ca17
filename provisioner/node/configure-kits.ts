// Many kits at once, each failing alone, each recorded in bench.db as the step `configure`.

import type { BenchRecord, Detail } from '../bench/record.ts';
import type { Campaign, Kit } from '../campaign/campaign.ts';
import { isWeakPassphrase } from '../campaign/passphrase.ts';
import type { Secrets } from '../campaign/secrets.ts';
import { describeError, KitError } from '../errors.ts';
import type { Output } from '../terminal.ts';
import type { ConfigureOutcome } from './configure.ts';
import type { Connect } from './connection.ts';
import { addressOf, configurerOf } from './kinds.ts';
import { outlinePlan, printPlan } from './plan.ts';

export interface ConfigureDeps {
  campaign: Campaign;
  secrets: Secrets;
  record: BenchRecord;
  /** TCP unless told otherwise. */
  connect?: Connect;
}

export interface ConfigureKitsOptions {
  /** Shows every plan and changes nothing, the record included. */
  dryRun?: boolean;
  /** How long to go on trying to reach a node that may still be booting. */
  patienceMs?: number;
}

export interface ConfiguredKit {
  kit: string;
  outcome?: ConfigureOutcome;
  error?: unknown;
}

/**
 * Each connection's cryptography is done in this process, a twentieth of a second: fifty are greeted
 * long before any of them gives up, with 3 MB and one open file more for every two.
 */
const atOnce = 50;

/** Never throws for a kit: its error stands in its result. Results are in the order of `kits`. */
export async function configureKits(
  kits: Kit[],
  deps: ConfigureDeps,
  output: Output,
  options: ConfigureKitsOptions = {},
): Promise<ConfiguredKit[]> {
  const results: ConfiguredKit[] = [];
  const waiting = [...kits.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [at, kit] = next;
      results[at] = await configureKit(kit, deps, output, options);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, kits.length) }, work));
  return results;
}

async function configureKit(
  kit: Kit,
  { campaign, secrets, record, connect }: ConfigureDeps,
  output: Output,
  { dryRun = false, patienceMs }: ConfigureKitsOptions,
): Promise<ConfiguredKit> {
  try {
    if (!dryRun) record.start(kit.name, 'configure', { image: campaign.image });
    const opened = { campaign: await secrets.campaign(), kit: await secrets.kit(kit) };
    if (isWeakPassphrase(opened.kit.ownerPassphrase)) throw weakPassphrase(kit, opened.kit);
    const configure = configurerOf(kit, campaign, opened);
    const outcome = await configure({
      kit: kit.name,
      address: addressOf(kit, opened),
      connect,
      dryRun,
      patienceMs,
      report: ({ type, ...event }) =>
        output.event({ type: `configure-${type}`, kit: kit.name, ...event }),
    });
    if (!dryRun) record.done(kit.name, 'configure', detailOf(kit, outcome));
    return { kit: kit.name, outcome };
  } catch (error) {
    if (!dryRun) record.fail(kit.name, 'configure', error);
    return { kit: kit.name, error };
  }
}

function weakPassphrase(kit: Kit, { ownerPassphrase }: { ownerPassphrase: string }): KitError {
  return new KitError({
    code: 'passphrase-weak',
    message: `The passphrase of ${kit.name}’s owner could be guessed`,
    expected: 'at least 12 characters, 6 of them different',
    got: `${ownerPassphrase.length} characters, ${new Set(ownerPassphrase).size} of them different`,
    hint: `Move secrets/${kit.name}.age away: a new one is made. A drive flashed with it, flash again.`,
  });
}

/** What the record keeps: names of steps and files, never contents. */
function detailOf(kit: Kit, { plan, roundTrips, elapsedMs }: ConfigureOutcome): Detail {
  return {
    kind: plan.kind,
    address: kit.address,
    domain: kit.domain,
    steps: outlinePlan(plan).map(({ name }) => name),
    roundTrips,
    elapsedMs: Math.round(elapsedMs),
  };
}

/** The results as one document for programs. */
export function documentOf(results: ConfiguredKit[]): unknown {
  return results.map(({ kit, outcome, error }) => ({
    kit,
    ok: error === undefined,
    ...(outcome && {
      kind: outcome.plan.kind,
      steps: outlinePlan(outcome.plan),
      round_trips: outcome.roundTrips,
      elapsed_ms: Math.round(outcome.elapsedMs),
    }),
    ...(error !== undefined && {
      error: error instanceof KitError ? error.toJSON() : { message: String(error) },
    }),
  }));
}

/** The results for people: plans in full when they are only shown. */
export function humanOf(results: ConfiguredKit[], { dryRun = false } = {}): string {
  return results
    .map(({ kit, outcome, error }) => {
      if (outcome === undefined) return `${kit}: ${describeError(error)}`;
      if (dryRun) return printPlan(outcome.plan);
      const { steps } = outcome.plan;
      const seconds = (outcome.elapsedMs / 1000).toFixed(1);
      const done = steps.length === 0 ? 'nothing to do' : `${steps.length} steps done, proven`;
      return `${kit}: ${done} (${seconds} s, ${outcome.roundTrips} round trips)`;
    })
    .join('\n');
}
