// Wipes the drive of a kit that serves no longer: zeros over all of it, read back. The drive is
// found and taken by the rules of flashing (target.ts), and by one more: the record must know it as
// this kit's, or a person must have seen that it does not. What a flash drive keeps aside of worn
// blocks no writing reaches; docs/handover.md says so.

import { createHash } from 'node:crypto';
import { lstat, realpath } from 'node:fs/promises';

import type { BenchRecord, Detail } from '../bench/record.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import type { Output } from '../terminal.ts';
import { blockBytes } from './blocks.ts';
import { writeBlocks } from './block-writer.ts';
import { realClock, type Clock } from './clock.ts';
import type { FlashDeps, FlashPlan } from './job.ts';
import type { Extent } from './manifest.ts';
import { flush, type Medium } from './medium.ts';
import { readBack } from './read-back.ts';
import { sizeText } from './size.ts';
import { fileId, judgeTarget, type Target } from './target.ts';
import { watchDrive } from './watch.ts';

export interface WipeProgress {
  kit: string;
  phase: 'wipe' | 'flush' | 'verify' | 'stalled';
  doneBytes: number;
  totalBytes: number;
  /** With `stalled`: for how long the drive has not answered. */
  silentMs?: number;
}

export interface WipeDeps extends Pick<FlashDeps, 'record' | 'listBlockDevices' | 'signal'> {
  onProgress: (progress: WipeProgress) => void;
  /** Default: the machine's. */
  clock?: Clock;
}

export interface Wiped {
  drive: string;
  serial: string;
  sizeBytes: number;
  /** Whether the zeros surely came from the drive, or perhaps from the kernel's memory. */
  readBack: 'direct' | 'buffered';
}

export interface Wipe {
  plan: FlashPlan;
  /** Whether the record has this very drive as one that was written for the kit. */
  known: boolean;
  /** @throws KitError `wipe-failed`, those of opening a drive */
  run(): Promise<Wiped>;
}

/**
 * Looks, and changes nothing.
 * @throws KitError as {@link judgeTarget}; `drive-of-another-kit`, `nothing-to-wipe`
 */
export async function prepareWipe(kit: Kit, drive: string, deps: WipeDeps): Promise<Wipe> {
  const file = await realpath(drive).then(lstat).catch(() => undefined);
  const fileSizeBytes = file?.isFile() ? Number(file.size) : 0;
  const target = await judgeTarget({ kit, drive }, { ...deps, fileSizeBytes });
  const { kind, contents } = target.plan;
  // A file that is no drive of kit's was refused; one that is new has nothing in it.
  if (kind === 'file' && contents === '') throw nothingToWipe(drive);
  const writtenFor = await lastWrittenFor(target.plan, deps.record);
  const known = writtenFor === kit.name;
  if (!known && writtenFor !== undefined) throw anothers(kit, target.plan, writtenFor);
  const note = known ? undefined : `NOT KNOWN as ${kit.name}’s: the record has no such drive`;
  const plan = { ...target.plan, ...(note !== undefined && { note }) };
  return { plan, known, run: () => wipe(kit, target, deps) };
}

/** Whose identity was written to this very drive last, or begun to be; undefined: nobody's here. */
async function lastWrittenFor(plan: FlashPlan, record: BenchRecord): Promise<string | undefined> {
  const isSame = plan.kind === 'file' ? await sameFile(plan) : sameDrive(plan);
  return record.ofStep('flash').findLast(({ detail }) => isSame(detail))?.kit;
}

async function sameFile({ drive }: FlashPlan): Promise<(detail: Detail) => boolean> {
  const id = fileId(await lstat(drive, { bigint: true }));
  return (detail) => detail['drive'] === drive && detail['fileId'] === id;
}

/** Without a serial number, one drive is like another of its make. */
function sameDrive({ serial, model, sizeBytes }: FlashPlan): (detail: Detail) => boolean {
  return (detail) =>
    serial !== '' && detail['serial'] === serial && detail['model'] === model
    && detail['sizeBytes'] === sizeBytes;
}

async function wipe(kit: Kit, target: Target, deps: WipeDeps): Promise<Wiped> {
  const { record } = deps;
  const { drive, kind, serial, model } = target.plan;
  const trace = { drive, kind, serial, model };
  try {
    const medium = await target.open();
    try {
      const { sizeBytes } = medium;
      record.start(kit.name, 'wipe', { ...trace, sizeBytes });
      await zeroWatched(kit, medium, deps);
      if (kind === 'file') await medium.file.truncate(0);
      const readBack = medium.direct ? ('direct' as const) : ('buffered' as const);
      record.done(kit.name, 'wipe', { ...trace, sizeBytes, readBack });
      return { drive, serial, sizeBytes, readBack };
    } finally {
      await medium.file.close();
    }
  } catch (error) {
    const failure = explained(drive, error, deps.signal);
    record.fail(kit.name, 'wipe', failure);
    throw failure;
  }
}

async function zeroWatched({ name: kit }: Kit, medium: Medium, deps: WipeDeps): Promise<void> {
  const { signal, onProgress } = deps;
  const totalBytes = medium.sizeBytes;
  const last = { kit, phase: 'wipe' as WipeProgress['phase'], doneBytes: 0, totalBytes };
  const unwatch = watchDrive(medium, deps.clock ?? realClock, (silentMs) =>
    onProgress({ ...last, phase: 'stalled', silentMs }),
  );
  const begin = (phase: WipeProgress['phase']): void => {
    Object.assign(last, { phase, doneBytes: 0 });
    onProgress({ ...last });
  };
  const onBytes = (sizeBytes: number): void => {
    last.doneBytes += sizeBytes;
    onProgress({ ...last });
  };
  try {
    begin('wipe');
    const read = async (into: Uint8Array): Promise<void> => void into.fill(0);
    const extents = [{ offsetBytes: 0, sizeBytes: totalBytes }];
    await writeBlocks({ medium, extents, read, onBytes, signal });
    begin('flush');
    await flush(medium);
    begin('verify');
    await readBack(medium, proofsOfZeros(totalBytes), { onBytes, signal });
  } finally {
    unwatch();
  }
}

/** What is proven at once: few hashes, and a place to tell that is not the whole drive. */
const pieceBytes = 64 * blockBytes;

function proofsOfZeros(totalBytes: number): (Extent & { sha256: string })[] {
  const whole = hashOfZeros(pieceBytes);
  return Array.from({ length: Math.ceil(totalBytes / pieceBytes) }, (_, index) => {
    const offsetBytes = index * pieceBytes;
    const sizeBytes = Math.min(pieceBytes, totalBytes - offsetBytes);
    const sha256 = sizeBytes === pieceBytes ? whole : hashOfZeros(sizeBytes);
    return { offsetBytes, sizeBytes, sha256 };
  });
}

function hashOfZeros(sizeBytes: number): string {
  const block = Buffer.alloc(blockBytes);
  const hash = createHash('sha256');
  for (let done = 0; done < sizeBytes; done += blockBytes) {
    hash.update(block.subarray(0, Math.min(blockBytes, sizeBytes - done)));
  }
  return hash.digest('hex');
}

/** The drive's own words, and that something may still be read from it. */
function explained(drive: string, error: unknown, signal: AbortSignal | undefined): unknown {
  const isKnown = error instanceof KitError;
  if (isKnown && !['drive-failing', 'drive-differs'].includes(error.code)) return error;
  if (!isKnown && !signal?.aborted) return error;
  const stopped = 'a stop; what was not reached can still be read';
  return new KitError({
    code: 'wipe-failed',
    message: `${drive} is not wiped`,
    expected: 'zeros all over it, read back',
    got: isKnown ? `${error.message}: ${error.got}` : stopped,
    hint: isKnown
      ? 'Try another port or reader; if it happens again, destroy the drive: it may still be read.'
      : 'Say the same again.',
    cause: error,
  });
}

/** Phases as they begin, and every tenth of them. */
export function wipeProgressTo(output: Pick<Output, 'event'>): (progress: WipeProgress) => void {
  const words = { wipe: 'writing zeros', flush: 'flushing', verify: 'reading back' };
  let told = '';
  return (progress) => {
    const { kit, phase, doneBytes, totalBytes, silentMs = 0 } = progress;
    const silentS = Math.round(silentMs / 1000);
    const silence = `the drive has not answered for ${silentS} s; still waiting`;
    const tenths = Math.floor((doneBytes / totalBytes) * 10);
    const text = phase === 'stalled' ? silence : `${words[phase]} ${tenths * 10} %`;
    if (text === told) return;
    told = text;
    output.event({ ...progress, type: 'wipe', text: `${kit}: ${text}` });
  };
}

export function wipedText({ drive, sizeBytes }: Wiped): string {
  return `${drive} is wiped: ${sizeText(sizeBytes)} of zeros, read back. What it keeps of worn`
    + ' blocks cannot be reached from here: if that matters, destroy it.';
}

function nothingToWipe(drive: string): KitError {
  return new KitError({
    code: 'nothing-to-wipe',
    message: `${drive} holds nothing`,
    expected: 'the drive of a kit',
    got: 'a file that is empty, or not there',
    hint: 'Look at the path; drives are listed by `kit drives`.',
    exitCode: 2,
  });
}

function anothers({ name }: Kit, { drive, serial }: FlashPlan, other: string): KitError {
  return new KitError({
    code: 'drive-of-another-kit',
    message: `${drive} was written for ${other} last, and will not be wiped for ${name}`,
    expected: `a drive that was written for ${name}`,
    got: serial === '' ? `${other}’s` : `${other}’s, by its serial number ${serial}`,
    hint: 'A reader tells its own number for every card: put the card into another to be asked.',
  });
}
