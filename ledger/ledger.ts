// The ledger at work: decisions (ingest.ts) become durable entries, blobs and projections, in this
// order:
//
//   blobs that this entry makes due, public → withheld blobs ┐
//                                                       tiles ┴→ head → checkpoint → projections
//   → answer
//
// so that whatever is answered for is on disk, and whatever a crash leaves half done is not in the
// log. A failed write refuses all who waited, and the state is read from the disk again. Knows no
// HTTP.

import { MAX_BATCH_BYTES } from '../firmware/wire.ts';
import { backUp } from './backup.ts';
import type { Clock } from './clock.ts';
import type { Entry } from './entry.ts';
import { encodeEntry, isBatch, isWish } from './entry.ts';
import { LedgerError } from './errors.ts';
import type { LoggedBatch, Span } from './fate.ts';
import { batchesWithin } from './history.ts';
import type { BatchDecision, Effects, MeterState } from './ingest.ts';
import {
  advance, checkAdmitted, decideBatch, decideEnrolment, decidePrice, decideRetirement,
} from './ingest.ts';
import type { OnStep } from './log/durable.ts';
import { checkRoom } from './log/durable.ts';
import type { Log } from './log/writer.ts';
import { openLog } from './log/writer.ts';
import { equal } from './log/tree.ts';
import { createPool } from './pool.ts';
import type { Written } from './projecting.ts';
import { project } from './projecting.ts';
import type { LedgerState } from './state.ts';
import { readState } from './state.ts';
import type { Store } from './store.ts';
import { openStore } from './store.ts';
import { signersOf } from './succession.ts';
import type { SetPrice } from './tariff.ts';
import { createTimekeeper } from './timekeeper.ts';
import type { TimekeeperOptions } from './timekeeper.ts';
import { unseal } from './unseal.ts';
import type { VerifySignature } from './verifiers.ts';
import type { SignedBatch } from './verify/batch.ts';
import { parseBatch } from './verify/batch.ts';
import { verifyEnrolment } from './verify/enrolment.ts';
import { verifyHss } from './verify/lms.ts';
import { verifyPrice } from './verify/price.ts';
import { verifyRequest } from './verify/request.ts';
import { verifyRetirement } from './verify/retirement.ts';
import { checkOwner, decideErasure, decideWish, needMeter } from './wish.ts';

export interface LedgerOptions extends TimekeeperOptions {
  dir: string;
  clock: Clock;
  /** At the first start; a ledger keeps its origin. */
  origin?: string;
  onStep?: OnStep;
  /** Verifies meters' signatures; by default in this thread. */
  verify?: VerifySignature;
  /** Drops the projections and grows them again. */
  freshProjections?: boolean;
  /** Told of failures that no caller hears of. */
  onProblem?: (error: unknown) => void;
}

export interface Ledger {
  readonly store: Store;
  readonly clock: Clock;
  /**
   * The time that entries and meters are given. Throws LedgerError `clock-behind`, `clock-leapt`
   * where the clock cannot be believed.
   */
  timeMs(): number;
  log(): Log;
  /** Throws LedgerError `try-later` while what is in memory may not be on the disk. */
  state(): LedgerState;
  /**
   * Decides and, for what enters the log, waits until it is durable; for a refusal, until all that
   * it may rest on is. `index` is the entry's. Throws LedgerError `malformed-batch` for bytes that no
   * meter sends: there is nobody to answer under a pairing key.
   */
  submitBatch(bytes: Uint8Array): Promise<{ decision: BatchDecision; index: number }>;
  /** Throws LedgerError as verifyEnrolment and decideEnrolment do; `bad-seal`. */
  enrol(enrolment: Uint8Array, sealed: Uint8Array): Promise<Enrolled>;
  /** Throws LedgerError as verifyPrice and decidePrice do. */
  setPrice(bytes: Uint8Array): Promise<PriceSet>;
  /** Throws LedgerError as verifyRetirement and decideRetirement do. */
  retire(retirement: Uint8Array): Promise<{ index: number; isNew: boolean; meterId: Uint8Array }>;
  admit(key: Uint8Array): Promise<{ isNew: boolean }>;
  /**
   * Does what a meter's owner asks; `batches` is how many it concerns. Throws LedgerError as
   * verifyRequest, checkOwner and decideWish do.
   */
  grant(request: Uint8Array): Promise<{ index: number; isNew: boolean; batches: number }>;
  /** Erases batches without their owner's word, and says so in the log. */
  erase(meterId: Uint8Array, span: Span): Promise<{ index: number; batches: number }>;
  /** Copies the folder as it stands at one moment, while the ledger goes on: see backup.ts. */
  backUp(to: string): Promise<{ files: number }>;
  /** Calls `listener` after each append, once the checkpoint that covers it is durable. */
  onAppend(listener: () => void): void;
  close(): Promise<void>;
}

export interface Enrolled {
  index: number;
  isNew: boolean;
  meterId: Uint8Array;
}

export interface PriceSet {
  isNew: boolean;
  price: SetPrice;
}

/**
 * A pool of 256 of the largest batches, twice: SQLite writes them beside its file first. With less
 * than this there is no use in reading the whole log again.
 */
const ROOM_BYTES = 2 * 256 * MAX_BATCH_BYTES;

interface Item {
  index: number;
  effects: Effects;
}

/** Opens a ledger's folder for writing; recovers, and catches the projections up. */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { dir, clock, origin, onStep, freshProjections, onProblem = () => {} } = options;
  const { verify = verifyHere } = options;
  const store = await openStore(dir, { origin, onStep, freshProjections });
  const openParts = async (): Promise<{ log: Log; state: LedgerState }> => {
    const { publicDir, temporaryDir, head, keys } = store;
    const seed = keys.logSeed;
    const opened = await openLog({
      publicDir, temporaryDir, head, origin: keys.origin, seed, onStep,
    });
    store.forgetFrom(opened.size());
    await store.finishErasures();
    return { log: opened, state: readState(store, opened) };
  };
  let { log, state } = await openParts().catch((error) => {
    store.close();
    throw error;
  });
  const timekeeper = createTimekeeper(clock, options);
  const timeMs = (): number => timekeeper.nowMs(state.lastReceivedMs());
  let next = log.size();
  /** Entries that are decided, not yet durable: whoever is answered by them waits for them. */
  const onTheWay = new Map<number, { entry: Entry; committed: Promise<void> }>();
  const listeners: (() => void)[] = [];
  project({ store, log, state });
  /** A write failed, and what is in memory may not be on the disk. */
  let isBroken = false;
  let mending: Promise<void> | undefined;

  const pool = createPool<Item>({
    async commit(items) {
      await commit(store, log, items);
      for (const listener of listeners) listener();
      for (const { index } of items) state.arrived(index);
      try {
        project({ store, log, state }, writtenOf(items));
      } catch (error) {
        // The entries are durable and will be answered for; the next commit or start catches up.
        onProblem(error);
      }
    },
    async onFailure(error) {
      onProblem(error);
      isBroken = true;
      // While the disk stays full this fails too; whoever comes next tries again.
      await reopen().catch(onProblem);
    },
  });
  const reopen = async (): Promise<void> => {
    await checkRoom(store.temporaryDir, ROOM_BYTES);
    ({ log, state } = await openParts());
    next = log.size();
    isBroken = false;
  };
  /** While nothing is committed, and no backup copies what is swept away here. */
  const mend = async (): Promise<void> => {
    mending ??= pool.between(async () => {
      if (isBroken) await reopen();
    }).finally(() => {
      mending = undefined;
    });
    await mending;
  };
  /** The key whose signature the batch bears; null if it bears none of theirs. */
  const signerAmong = async (
    keys: readonly Uint8Array[],
    { message, signature }: SignedBatch,
  ): Promise<Uint8Array | null> => {
    for (const publicKey of keys) {
      if (await verify({ publicKey, message, signature })) return publicKey;
    }
    return null;
  };
  /** Takes the next index; the caller has changed the state as the entry says. */
  const append = async (effects: Effects): Promise<number> => {
    const index = next++;
    state.dated(effects.entry.receivedMs);
    state.onTheWay(index, effects.keep);
    const travelling = { entry: effects.entry, committed: pool.add({ index, effects }) };
    onTheWay.set(index, travelling);
    await travelling.committed.finally(() => {
      // After a failed write the index may be another entry's by now.
      if (onTheWay.get(index) === travelling) onTheWay.delete(index);
    });
    return index;
  };
  const waiting = (isMeant: (entry: Entry) => boolean): Promise<void>[] =>
    [...onTheWay.values()].filter(({ entry }) => isMeant(entry)).map(({ committed }) => committed);
  const isAbout = (meterId: Uint8Array) => (entry: Entry): boolean =>
    'meterId' in entry && equal(entry.meterId, meterId);
  /** Resolves when what is known of a meter is on the disk; rejects where it never will be. */
  const durable = async (meterId: Uint8Array): Promise<void> => {
    await Promise.all(waiting(isAbout(meterId)));
  };

  const within = (meterId: Uint8Array, span: Span): LoggedBatch[] =>
    batchesWithin({ store, log }, meterId, { span, end: next });
  /** Waits until all that is decided of a meter is in the stores, whence its batches are read. */
  const settle = async (meterId: Uint8Array): Promise<void> => {
    while (isBroken || waiting(isAbout(meterId)).length > 0) {
      if (isBroken) await mend();
      await Promise.allSettled(waiting(isAbout(meterId)));
    }
  };
  const follow = (
    { last }: MeterState,
    { entry }: Effects,
    { number, batches }: { number: number | null; batches: readonly LoggedBatch[] },
  ): void => {
    if (isWish(entry)) state.grant(entry, { number, batches, lastIndex: last?.index ?? null });
  };

  return {
    store,
    clock,
    timeMs,
    log: () => log,
    state() {
      if (!isBroken) return state;
      const parts = { code: 'try-later', message: 'The ledger cannot store anything now' };
      throw new LedgerError(parts);
    },
    async submitBatch(bytes) {
      const batch = parseBatch(bytes);
      if (isBroken) await mend();
      let [asked, signer]: [Uint8Array[], Uint8Array | null] = [[], null];
      do {
        asked = signersOf(state, batch);
        signer = await signerAmong(asked, batch);
        // Others were decided meanwhile: a write may have failed, a key have been succeeded.
        if (isBroken) await mend();
      } while (!signersOf(state, batch).every((key, i) => asked[i] && equal(key, asked[i])));
      const decision = decideBatch(state, { bytes, batch, signer }, timeMs());
      if (decision.kind === 'unknown-meter') return { decision, index: 0 };
      const { id } = decision.meter;
      if (decision.kind === 'accepted') {
        const { payload: { successor } } = decision.batch;
        state.accept(id, advance(decision, next));
        if (successor !== null) state.succeed(id, successor);
      }
      if (decision.kind === 'equivocation') {
        state.revoke(id);
        const { entry } = decision.effects;
        if (entry.type === 'key-revoked') state.prove(entry.evidence);
      }
      // The answer tells where the meter stands by this decision; later ones may never be durable.
      const told = { ...decision, meter: { ...decision.meter } };
      if (told.kind === 'accepted' || told.kind === 'equivocation') {
        return { decision: told, index: await append(told.effects) };
      }
      await durable(id);
      return { decision: told, index: told.kind === 'repeated' ? told.index : 0 };
    },
    async enrol(bytes, sealed) {
      const enrolment = verifyEnrolment(bytes, store.keys.origin);
      // Opening a seal made for it takes longer than all else: 50 ms, at any stranger's wish.
      checkAdmitted(state, enrolment, 'Enrolment refused');
      const secrets = await unseal(sealed, enrolment.sealedHash, store.keys.ageIdentity);
      if (isBroken) await mend();
      const knownIndex = state.indexOf(enrolment.hash);
      const nowMs = timeMs();
      const decision = decideEnrolment(state, { enrolment, bytes, knownIndex, nowMs });
      const { meterId } = enrolment;
      if (decision.kind === 'repeated') {
        await onTheWay.get(decision.index)?.committed;
        return { index: decision.index, isNew: false, meterId };
      }
      store.keepKit(meterId, secrets.pairingKey, secrets.privateName);
      state.enrol(enrolment);
      return { index: await append(decision.effects), isNew: true, meterId };
    },
    async setPrice(bytes) {
      const price = verifyPrice(bytes, store.keys.origin);
      if (isBroken) await mend();
      const knownIndex = state.indexOf(price.hash);
      const decision = decidePrice(state, { price, bytes, knownIndex, nowMs: timeMs() });
      if (decision.kind === 'repeated') {
        await onTheWay.get(decision.index)?.committed;
        return { isNew: false, price: priceAt(state, decision.index) };
      }
      state.setPrice({ ...price, index: next, receivedMs: decision.receivedMs });
      return { isNew: true, price: priceAt(state, await append(decision.effects)) };
    },
    async retire(bytes) {
      const retirement = verifyRetirement(bytes, store.keys.origin);
      if (isBroken) await mend();
      const { meterId } = retirement;
      const knownIndex = state.indexOf(retirement.hash);
      const parts = { retirement, bytes, knownIndex, nowMs: timeMs() };
      const decision = decideRetirement(state, parts);
      if (decision.kind === 'repeated') {
        await onTheWay.get(decision.index)?.committed;
        return { index: decision.index, isNew: false, meterId };
      }
      state.retire(meterId);
      return { index: await append(decision.effects), isNew: true, meterId };
    },
    async admit(key) {
      if (isBroken) await mend();
      if (state.isAdmitted(key)) {
        await Promise.all(waiting((entry) => entry.type === 'volunteer-admitted' && equal(entry.key, key)));
        return { isNew: false };
      }
      const receivedMs = Math.max(timeMs(), state.lastReceivedMs());
      state.admit(key);
      const entry: Entry = { type: 'volunteer-admitted', receivedMs, key };
      await append({ entry, keep: [], disclose: [], erase: [] });
      return { isNew: true };
    },
    async grant(bytes) {
      const request = verifyRequest(bytes, store.keys.origin);
      const { meterId, wish, number } = request;
      checkOwner(state, request);
      await settle(meterId);
      const meter = checkOwner(state, request);
      const batches = wish.what === 'publish' ? [] : within(meterId, wish.span);
      const parts = { request, bytes, meter, batches, nowMs: timeMs() };
      const decision = decideWish(state, parts);
      if (decision.kind === 'repeated') return { index: decision.index, isNew: false, batches: 0 };
      const { effects, concerns } = decision;
      follow(meter, effects, { number, batches });
      return { index: await append(effects), isNew: true, batches: concerns };
    },
    async erase(meterId, span) {
      needMeter(state, meterId);
      await settle(meterId);
      const meter = needMeter(state, meterId);
      const batches = within(meterId, span);
      const parts = { meter, span, batches, nowMs: timeMs() };
      const { effects, concerns } = decideErasure(state, parts);
      follow(meter, effects, { number: null, batches });
      return { index: await append(effects), batches: concerns };
    },
    backUp: (to) => backUp(store, pool, to),
    onAppend: (listener) => void listeners.push(listener),
    async close() {
      await pool.idle();
      store.close();
    },
  };
}

function priceAt(state: LedgerState, index: number): SetPrice {
  return state.prices().find((price) => price.index === index)!;
}

const verifyHere: VerifySignature = async ({ publicKey, message, signature }) =>
  verifyHss(publicKey, message, signature);

async function commit(store: Store, log: Log, items: Item[]): Promise<void> {
  const disclosed = items.flatMap(({ effects }) => effects.disclose);
  const blobs = items.flatMap(({ index, effects }) =>
    effects.keep.map((blob) => ({ ...blob, index })));
  const evidence = items.flatMap(({ effects }) => effects.evidence ?? []);
  await log.append(items.map(({ effects }) => encodeEntry(effects.entry)), async () => {
    await store.disclose(disclosed, [...blobs, ...evidence]);
    store.keep(blobs, disclosed);
    for (const { index, effects } of items) store.intendErasure(effects.erase, index);
  });
  await store.finishErasures();
}

function writtenOf(items: readonly Item[]): Map<number, Written> {
  return new Map(items.map(({ index, effects: { entry, keep } }) =>
    [index, { entry, blob: isBatch(entry) ? keep[0].bytes : undefined }]));
}
