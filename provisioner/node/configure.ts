// The engine: facts → plan → apply → facts again, until the plan is empty. A kind of node (snac,
// YunoHost …) says which facts matter and what follows from them; this file knows none of them.
// Whatever happened to a node before (a power cut, half a run, a dropped connection), the next run
// begins with facts and does what is left.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { KitError } from '../errors.ts';
import { openConnection, type ConnectionOptions } from './connection.ts';
import type { NodeAddress, NodeConnection } from './connection.ts';
import { factScript, readFacts, type FactsOf } from './fact.ts';
import { knownFailure, refuseFaultyDrive } from './failure.ts';
import { ground, refuseGround, type Ground } from './ground.ts';
import { busyExitCode, planScript, progressReader } from './script.ts';
import { redact } from './secret.ts';
import { defaultStepTimeoutS, secretsOf, type Plan, type Step } from './step.ts';

/** What a sort of node is, to the engine. Both functions are pure. */
export interface NodeKind<Desired, Facts> {
  name: string;
  facts(desired: Desired): FactsOf<Facts>;
  /** Steps in the order in which they must run. @throws KitError if the state cannot be reached */
  plan(desired: Desired, facts: Facts): Step[];
}

export type NodeEvent =
  | { type: 'waiting'; text: string }
  | { type: 'plan'; text: string; steps: number }
  | { type: 'step'; text: string; step: number; steps: number }
  | { type: 'again'; text: string };

export interface ConfigureOptions extends ConnectionOptions {
  kit: string;
  dryRun?: boolean;
  /** How long to go on trying to reach a node that may still be booting. */
  patienceMs?: number;
  /** The bench's clock, Unix milliseconds: the node's is held against it. */
  now?: () => number;
  report?: (event: NodeEvent) => void;
}

export interface ConfigureOutcome {
  /** What was done, or with `dryRun` what would be. */
  plan: Plan;
  roundTrips: number;
  elapsedMs: number;
}

/** Times that a run is taken up again after the connection dropped. */
const maxDrops = 5;
/** A node that has just booted waits for its own services first (operation/units.ts). */
const factsTimeoutMs = 180_000;
const retryMs = 1000;

/**
 * Brings one node to its desired state and proves it: facts gathered afterwards give an empty plan.
 * @throws KitError `plan-not-empty`, `step-failed`, `node-busy`, those of ground.ts, failure.ts and
 *   a connection
 */
export async function configureNode<Desired, Facts>(
  kind: NodeKind<Desired, Facts>,
  desired: Desired,
  { address, ...options }: ConfigureOptions & { address: NodeAddress },
): Promise<ConfigureOutcome> {
  const startMs = performance.now();
  const untilMs = startMs + (options.patienceMs ?? 0);
  const done: Step[] = [];
  let roundTrips = 0;
  for (let drops = 0; ; ) {
    const connection = await reach(address, options);
    try {
      await settle(kind, desired, { connection, done, options });
      break;
    } catch (error) {
      // A node that has just booted may not have heard a time server yet.
      const waits = isCode(error, 'clock-wrong') && performance.now() + retryMs < untilMs;
      if (!waits && !(isCode(error, 'connection-lost') && drops++ < maxDrops)) throw error;
      options.report?.({ type: 'again', text: `${options.kit}: ${error.message}; again` });
      if (waits) await sleep(retryMs);
    } finally {
      roundTrips += connection.roundTrips;
      connection.close();
    }
  }
  const plan = { kit: options.kit, kind: kind.name, steps: done };
  return { plan, roundTrips, elapsedMs: performance.now() - startMs };
}

/**
 * Asks a node for facts.
 * @param heed is told what its commands said aside, before anything is made of their answers
 * @throws KitError `facts-cut-short`, `fact-unreadable`
 */
export async function gatherFacts<F>(
  connection: NodeConnection,
  facts: FactsOf<F>,
  heed: (said: string) => void = () => undefined,
): Promise<F> {
  const mark = freshMark();
  const asked = factScript(facts, mark);
  const { stdout, stderr } = await connection.run(asked, { timeoutMs: factsTimeoutMs });
  heed(stderr);
  return readFacts(facts, mark, stdout);
}

/** Opens a connection; while `patienceMs` lasts, a node that cannot be reached is tried again. */
export async function reach(
  address: NodeAddress,
  options: Omit<ConfigureOptions, 'dryRun'>,
): Promise<NodeConnection> {
  const untilMs = performance.now() + (options.patienceMs ?? 0);
  for (let tries = 0; ; tries += 1) {
    try {
      return await openConnection(address, options);
    } catch (error) {
      const retried = error instanceof KitError && retriedCodes.has(error.code);
      if (!retried || performance.now() + retryMs > untilMs) throw error;
      const text = `${options.kit}: waiting for it`;
      if (tries === 0) options.report?.({ type: 'waiting', text });
      await sleep(retryMs);
    }
  }
}

const retriedCodes = new Set(['node-unreachable', 'node-too-slow']);

async function settle<Desired, Facts>(
  kind: NodeKind<Desired, Facts>,
  desired: Desired,
  run: { connection: NodeConnection; done: Step[]; options: ConfigureOptions },
): Promise<void> {
  const { connection, done, options } = run;
  const planNow = () => stepsLeft(kind, desired, { connection, ...options });
  const steps = await planNow();
  const text = `${options.kit}: ${steps.length === 0 ? 'nothing to do' : `${steps.length} steps`}`;
  options.report?.({ type: 'plan', text, steps: steps.length });
  if (options.dryRun) done.push(...steps);
  if (options.dryRun || steps.length === 0) return;
  try {
    await applySteps(connection, steps, { options, done });
  } catch (error) {
    throw isCode(error, 'step-failed') ? await groundOf(error, { connection, ...options }) : error;
  }
  const left = await planNow();
  if (left.length > 0) throw notEmpty(options.kit, left);
}

/**
 * What there is to do on a node as it is now, in one round trip; nothing is changed.
 * @throws KitError those of a plan, of facts, of ground.ts and of a connection
 */
export async function stepsLeft<Desired, Facts>(
  kind: NodeKind<Desired, Facts>,
  desired: Desired,
  at: { connection: NodeConnection; kit: string; now?: () => number },
): Promise<Step[]> {
  const { connection, kit, now = Date.now } = at;
  const asked = { ...kind.facts(desired), ground } as FactsOf<Facts & { ground: Ground }>;
  const fromMs = now();
  const facts = await gatherFacts(connection, asked, (said) => refuseFaultyDrive(kit, said));
  const steps = kind.plan(desired, facts);
  if (steps.length > 0) refuseGround(kit, facts.ground, { fromMs, untilMs: now() });
  return steps;
}

/**
 * Programs that meet a full disk may die of what they could not write without a word of it: a
 * failure that nothing is known of is the ground's, where that has gone meanwhile.
 */
async function groundOf(
  failed: KitError,
  { connection, kit, now = Date.now }: Omit<ConfigureOptions, 'dryRun'> & { connection: NodeConnection },
): Promise<KitError> {
  const { message } = failed;
  try {
    const fromMs = now();
    const facts = await gatherFacts(connection, { ground }, (said) => refuseFaultyDrive(kit, said));
    refuseGround(kit, facts.ground, { fromMs, untilMs: now() });
    return failed;
  } catch (cause) {
    // Whatever else becomes of the question, the step's own failure is what there is to tell.
    if (!(cause instanceof KitError) || !groundCodes.has(cause.code)) return failed;
    const { code, expected, hint } = cause;
    return new KitError({ code, message, expected, hint, cause, got: `${cause.got}; ${failed.got}` });
  }
}

const groundCodes = new Set(['drive-faulty', 'root-read-only', 'disk-full', 'clock-wrong']);

/** Sends the steps as one script and follows it; `done` grows as steps end well. */
async function applySteps(
  connection: NodeConnection,
  steps: Step[],
  { options, done }: { options: ConfigureOptions; done: Step[] },
): Promise<void> {
  const mark = freshMark();
  const timeoutMs = (at: number): number => (steps[at]?.timeoutS ?? defaultStepTimeoutS) * 1000;
  let failed: KitError | undefined;
  let finished = false;
  let renewed: (timeoutMs: number) => void = () => undefined;
  const read = progressReader(mark, (progress) => {
    if (progress.type === 'done') finished = true;
    else if (progress.type === 'start') {
      renewed(timeoutMs(progress.at));
      const text = `${options.kit}: ${steps[progress.at].name}`;
      options.report?.({ type: 'step', text, step: progress.at + 1, steps: steps.length });
    } else if (progress.exitCode === 0) {
      done.push(steps[progress.at]);
    } else {
      failed = stepFailed(options.kit, steps, progress);
    }
  });
  const result = await connection.run(planScript(steps, mark), {
    timeoutMs: timeoutMs(0),
    onOutput(piece, renew) {
      renewed = renew;
      read(piece);
    },
  });
  if (failed) throw failed;
  if (result.exitCode === busyExitCode) throw busy(options.kit);
  if (!finished) throw brokeOff(options.kit, redact(result.stderr, secretsOf(steps)));
}

function freshMark(): string {
  return `commons-${randomBytes(12).toString('hex')}`;
}

function isCode(error: unknown, code: string): error is KitError {
  return error instanceof KitError && error.code === code;
}

function stepFailed(
  kit: string,
  steps: Step[],
  { at, exitCode, output }: { at: number; exitCode: number; output: string },
): KitError {
  const words = redact(output, secretsOf(steps));
  const said = words.split('\n').slice(-12).join('\n');
  const unknown = {
    code: 'step-failed',
    expected: 'exit code 0',
    hint: 'Mend what it complains about, then run the command again: it goes on from here.',
  };
  return new KitError({
    ...(steps[at].failures?.[exitCode] ?? knownFailure(words) ?? unknown),
    message: `${kit}: “${steps[at].name}” failed`,
    got: `exit code ${exitCode}${said === '' ? '' : `: ${said}`}`,
  });
}

function notEmpty(kit: string, left: Step[]): KitError {
  return new KitError({
    code: 'plan-not-empty',
    message: `${kit} did not keep what was done to it`,
    expected: 'an empty plan after applying one',
    got: left.map((step) => `${step.name} (${step.because})`).join('; '),
    hint: 'Something on the node undoes these steps: look there before running the command again.',
  });
}

function busy(kit: string): KitError {
  return new KitError({
    code: 'node-busy',
    message: `${kit} is being configured by somebody else`,
    expected: 'a node that nobody else works on',
    got: 'its lock held for a minute',
    hint: 'Wait until the other run ends, then try again.',
  });
}

function brokeOff(kit: string, said: string): KitError {
  return new KitError({
    code: 'apply-broke-off',
    message: `${kit} stopped in the middle of the plan`,
    expected: 'every step to be done',
    got: said.trim() || 'no reason given',
    hint: 'Run the command again: it goes on where it was.',
  });
}
