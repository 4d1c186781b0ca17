// A log's side of https://c2sp.org/tlog-witness: takes each new checkpoint to the witnesses of the
// operator's policy and adds their cosignatures to it. Never holds an ack up; a witness that is slow
// or gone costs its own cosignature alone.

import { LedgerError } from '../errors.ts';
import { parseDecimal } from '../log/checkpoint.ts';
import { verifyCheckpointSignature } from '../log/cosignature.ts';
import type { NoteSignature, VerifierKey } from '../log/note.ts';
import { openNote, parseNote } from '../log/note.ts';
import type { Policy } from '../log/policy.ts';
import type { Log } from '../log/writer.ts';
import { formatAddCheckpoint } from './request.ts';

export interface WitnessAddress {
  /** As the policy calls it. */
  name: string;
  key: VerifierKey;
  /** The submission prefix. */
  url: string;
}

/** What came of asking a witness; no error: the log's checkpoint bears its cosignature. */
export interface Outcome {
  name: string;
  error?: unknown;
}

export interface Collector {
  /** Asks every witness about the log's checkpoint as it is now; resolves when all have answered. */
  collect(): Promise<Outcome[]>;
}

const REQUEST_MS = 10_000;
/** 100 signature lines at most. */
const MAX_ANSWER_BYTES = 1_000_000;
/** Another client may take a witness forward between our requests, but not for ever. */
const MAX_TRIES = 4;

/** The policy's witnesses that say where they can be asked. */
export function witnessesOf({ witnesses }: Policy): WitnessAddress[] {
  return [...witnesses].flatMap(([name, { key, url }]) =>
    url === undefined ? [] : [{ name, key, url }]);
}

export function createCollector(
  log: () => Log,
  witnesses: readonly WitnessAddress[],
): Collector {
  const couriers = witnesses.map((witness) => ({ witness, ask: courier(log, witness) }));
  return {
    collect: () => Promise.all(couriers.map(async ({ witness: { name }, ask }) =>
      ask().then(() => ({ name }), (error: unknown) => ({ name, error })))),
  };
}

/** One request at a time to each witness; who asks meanwhile shares the next one. */
function courier(log: () => Log, witness: WitnessAddress): () => Promise<void> {
  let knownSize = 0;
  let [running, waiting]: (Promise<void> | undefined)[] = [];
  const carry = async (): Promise<void> => {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { status, body, size, text } = await submit(log(), witness, knownSize);
      if (status === 200) {
        await log().cosign(text, cosignatures(witness, text, body));
        knownSize = size;
        return;
      }
      // The proof is this log's own tree: it only fails where the witness knows another one.
      if (status === 422) throw contradicted(witness, knownSize, size);
      if (status !== 409) throw refused(witness, `status ${status}: ${body.slice(0, 200)}`);
      const answered = parseDecimal(body.trimEnd());
      // Its last checkpoint may be ahead of the one we sent, never of the one we have by now.
      if (answered > log().size()) throw contradicted(witness, answered, log().size());
      if (answered === knownSize) throw contradicted(witness, answered, size);
      knownSize = answered;
    }
    throw refused(witness, `${MAX_TRIES} conflicts in a row`);
  };
  const start = (): Promise<void> => {
    running = carry().finally(() => {
      running = undefined;
    });
    return running;
  };
  return () => {
    if (running === undefined) return start();
    waiting ??= running.catch(() => {}).then(() => {
      waiting = undefined;
      return start();
    });
    return waiting;
  };
}

async function submit(
  log: Log,
  witness: WitnessAddress,
  knownSize: number,
): Promise<{ status: number; body: string; size: number; text: string }> {
  const checkpoint = log.checkpoint();
  const size = log.size();
  const oldSize = Math.min(knownSize, size);
  const body = formatAddCheckpoint({ oldSize, proof: log.proveGrowth(oldSize), checkpoint });
  const url = `${witness.url.replace(/\/$/, '')}/add-checkpoint`;
  const signal = AbortSignal.timeout(REQUEST_MS);
  const response = await fetch(url, { method: 'POST', body, signal, redirect: 'error' });
  const answer = await boundedText(response, witness);
  return { status: response.status, body: answer, size, text: parseNote(checkpoint).text };
}

async function boundedText(response: Response, witness: WitnessAddress): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw refused(witness, 'more than 1 MB');
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** The witness's cosignatures in its answer; whoever else signed there is ignored. */
function cosignatures(witness: WitnessAddress, text: string, body: string): NoteSignature[] {
  const note = new TextEncoder().encode(`${text}\n${body}`);
  const { verified } = openNote(note, [witness.key], verifyCheckpointSignature);
  return verified.map(({ key: { name, keyId }, signature }) => ({ name, keyId, signature }));
}

function refused({ name }: WitnessAddress, got: string): LedgerError {
  const message = `Witness ${name} did not cosign`;
  return new LedgerError({ code: 'not-cosigned', message, expected: 'a cosignature', got });
}

function contradicted({ name }: WitnessAddress, known: number, own: number): LedgerError {
  return new LedgerError({
    code: 'witness-disagrees',
    message: `Witness ${name} has cosigned another history of this log`,
    expected: `this log’s ${own} entries`,
    got: `another tree of ${known}`,
    hint: 'Restore the newest copy of the folder: going on would sign a second history.',
  });
}
