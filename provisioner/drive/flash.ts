// `kit flash`'s work: several kits onto several drives at once, each at its own pace. Preflight
// (image, drives, sizes) for all before anything is erased; then each drive on its own, so that one
// that fails leaves the others alone. Every start, end and failure goes into the record.

import { randomBytes } from 'node:crypto';

import type { Detail } from '../bench/record.ts';
import type { Kit } from '../campaign/campaign.ts';
import { wifiPassphrase } from '../campaign/wifi.ts';
import { cacheFolder } from '../cache-folder.js';
import { KitError } from '../errors.ts';
import { requireSignature } from '../image/signature.ts';
import { parseAllowedSigner } from '../image/sshsig.ts';
import { realClock } from './clock.ts';
import { identityFiles } from './identity-files.ts';
import { openImage, refuseOtherArch, type Image } from './image.ts';
import type { FlashDeps, FlashJob, FlashPlan, FlashProgress, FlashResult } from './job.ts';
import { manifestPath } from './manifest.ts';
import type { Medium } from './medium.ts';
import { isSlow } from './rate.ts';
import { edgeBytes } from './segments.ts';
import { openSource, type ImageSource } from './source.ts';
import { fileId, judgeTarget, type Target } from './target.ts';
import { watchDrive } from './watch.ts';
import { writeDrive, type WriteOutcome } from './write.ts';

/** What an interruption costs at most, twice over; a flush each is nothing beside five seconds. */
export const saveEveryMs = 5000;

/**
 * @returns one result a job, in order, when every drive was written and read back
 * @throws KitError the preflight's, nothing being changed; the one drive's own failure; or
 *   `some-drives-failed`, after the others are done
 */
export async function flashKits(jobs: FlashJob[], deps: FlashDeps): Promise<FlashResult[]> {
  const image = await openImage(deps.image);
  refuseOtherArch(image, deps.campaign.arch);
  await requireSigner(deps);
  // Unpacking goes on while the drives are looked at, and while a person thinks about the plan.
  const source = await openSource(image, deps.spoolDir ?? cacheFolder());
  try {
    const targets = await judgeTargets(jobs, { image, deps });
    const plans = targets.map(({ plan }) => plan);
    for (const { kit } of jobs) wifiPassphrase(kit, await deps.secrets.kit(kit));
    if (image.kind !== 'zst') tellUnpacking(plans, deps);
    await source.vouched;
    await deps.confirm(plans);
    const outcomes = await Promise.allSettled(
      jobs.map((job, index) => flashOne(job, targets[index], { source, deps })),
    );
    refuseFailures(plans, outcomes);
    return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<FlashResult>).value);
  } finally {
    await source.close();
  }
}

/** Where the campaign names signers, an image of nobody else's is written. */
async function requireSigner({ campaign, image }: FlashDeps): Promise<void> {
  const allowed = campaign.imageSigners.flatMap((text) => parseAllowedSigner(text) ?? []);
  if (campaign.imageSigners.length > 0) await requireSignature(manifestPath(image), allowed);
}

async function judgeTargets(
  jobs: FlashJob[],
  { image, deps }: { image: Image; deps: FlashDeps },
): Promise<Target[]> {
  const targets: Target[] = [];
  for (const job of jobs) targets.push(await judgeTarget(job, deps));
  const plans = targets.map(({ plan }) => plan);
  refuseTwins(plans);
  for (const plan of plans) refuseSmall(plan, image);
  return targets;
}

const nothingYet = { doneBytes: 0, totalBytes: 0, resumedAtBytes: 0 };

/** What takes a while before anybody is asked: only the content of such an image can be proven. */
function tellUnpacking(plans: FlashPlan[], { onProgress }: FlashDeps): void {
  for (const { kit } of plans) onProgress({ ...nothingYet, kit, phase: 'unpack' });
}

async function flashOne(
  { kit }: FlashJob,
  target: Target,
  { source, deps }: { source: ImageSource; deps: FlashDeps },
): Promise<FlashResult> {
  const { record } = deps;
  try {
    // Secrets first: they may have to be made, and can fail, while the drive is still whole.
    const secrets = { kit: await deps.secrets.kit(kit), campaign: await deps.secrets.campaign() };
    const identity = identityFiles(deps.campaign, kit, secrets);
    const medium = await target.open();
    try {
      const detail = await traceOf(target.plan, medium, source.image);
      record.start(kit.name, 'flash', detail);
      const outcome = await writeWatched(kit, { target, medium, identity }, { source, deps });
      const { fingerprint } = secrets.kit.sshHostKey;
      record.done(kit.name, 'flash', { ...detail, hostKeyFingerprint: fingerprint, ...outcome });
      deps.onProgress({ ...nothingYet, kit: kit.name, phase: 'done' });
      const result = resultOf(target.plan, medium, { image: source.image, outcome });
      return { ...result, hostKeyFingerprint: fingerprint };
    } finally {
      await medium.file.close();
    }
  } catch (error) {
    const failure = deps.signal?.aborted ? interrupted(target.plan) : error;
    record.fail(kit.name, 'flash', failure);
    throw failure;
  }
}

type Outcome = WriteOutcome & { slow: boolean };

async function writeWatched(
  kit: Kit,
  drive: { target: Target; medium: Medium; identity: Map<string, string> },
  { source, deps }: { source: ImageSource; deps: FlashDeps },
): Promise<Outcome> {
  const { medium, identity } = drive;
  const clock = deps.clock ?? realClock;
  let last: Omit<FlashProgress, 'kit'> = { ...nothingYet, phase: 'prepare' };
  const onProgress = (progress: typeof last): void => {
    last = progress;
    deps.onProgress({ kit: kit.name, ...progress });
  };
  const unwatch = watchDrive(medium, clock, (silentMs) =>
    deps.onProgress({ kit: kit.name, ...last, phase: 'stalled', silentMs }),
  );
  try {
    const outcome = await writeDrive({
      ...{ source, medium, identity, clock, onProgress, kind: drive.target.plan.kind },
      random: deps.random ?? randomBytes,
      saveEveryMs: deps.saveEveryMs ?? saveEveryMs,
      signal: deps.signal,
    });
    return { ...outcome, slow: isSlow(outcome.writtenBytes, outcome.writeSeconds) };
  } finally {
    unwatch();
  }
}

/** What the record keeps of a drive: enough to know it again. */
async function traceOf(plan: FlashPlan, medium: Medium, { manifest }: Image): Promise<Detail> {
  const { kit: _kit, contents: _contents, ...drive } = plan;
  return {
    ...drive,
    fileId: plan.kind === 'file' ? fileId(await medium.file.stat({ bigint: true })) : null,
    image: `${manifest.name}-${manifest.arch}`,
    imageSha256: manifest.zstSha256,
    espOffsetBytes: manifest.esp.offsetBytes,
  };
}

function resultOf(
  plan: FlashPlan,
  medium: Medium,
  { image, outcome }: { image: Image; outcome: Outcome },
): Omit<FlashResult, 'hostKeyFingerprint'> {
  const { kit, drive, kind, serial, sizeBytes } = plan;
  const readBack = medium.direct ? ('direct' as const) : ('buffered' as const);
  const imageSha256 = image.manifest.zstSha256;
  return { kit, drive, kind, serial, sizeBytes, imageSha256, readBack, ...outcome };
}

function refuseTwins(plans: FlashPlan[]): void {
  for (const key of ['drive', 'kit'] as const) {
    const values = plans.map((plan) => plan[key]);
    const twin = values.find((value, index) => values.indexOf(value) !== index);
    if (twin === undefined) continue;
    throw new KitError({
      code: `same-${key}-twice`,
      message: `The ${key} ${twin} is named twice`,
      expected: `a ${key} of its own for each`,
      got: values.join(', '),
      hint: 'Links to the same drive count as the same drive.',
      exitCode: 2,
    });
  }
}

/** Room for the image, and for the zeroed end beyond it to stay apart from the first MiB. */
function refuseSmall(plan: FlashPlan, { manifest }: Image): void {
  const neededBytes = Math.max(manifest.sizeBytes, 2 * edgeBytes);
  if (plan.sizeBytes >= neededBytes) return;
  throw new KitError({
    code: 'image-too-big',
    message: `The image does not fit on ${plan.drive}`,
    expected: `at least ${neededBytes} bytes`,
    got: `${plan.sizeBytes} bytes`,
    hint: plan.kind === 'file' ? 'Ask for more with --size.' : 'Take a larger drive.',
  });
}

function refuseFailures(plans: FlashPlan[], outcomes: PromiseSettledResult<unknown>[]): void {
  const failed = outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [{ kit: plans[index].kit, error: outcome.reason }] : [],
  );
  if (failed.length === 0) return;
  if (outcomes.length === 1) throw failed[0].error;
  const told = failed.map(({ kit, error }) => `${kit}: ${reasonOf(error)}`);
  throw new KitError({
    code: 'some-drives-failed',
    message: `${failed.length} of ${outcomes.length} drives failed`,
    expected: 'every drive written and read back',
    got: told.join('; '),
    hint: `Flash again: ${failed.map(({ kit }) => kit).join(' ')}. The others are done.`,
    cause: failed[0].error,
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof KitError) return `${error.message} (${error.code}, ${error.got})`;
  return error instanceof Error ? error.message : String(error);
}

function interrupted(plan: FlashPlan): KitError {
  return new KitError({
    code: 'interrupted',
    message: `Writing ${plan.drive} was stopped`,
    expected: 'to be let finish',
    got: 'a stop; the drive does not boot as it is',
    hint: `Say the same again: it goes on where it was.`,
  });
}
