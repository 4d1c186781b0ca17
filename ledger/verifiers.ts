// Threads that verify meters' signatures, so that every core takes part: a signature costs more than
// all else about a batch. Owns the threads; what a signature is stands in verify/lms.ts. A thread that
// dies fails what it was asked, and is replaced.

import { Worker } from 'node:worker_threads';

export interface SignatureCheck {
  publicKey: Uint8Array;
  message: Uint8Array;
  signature: Uint8Array;
}

/** True if the signature is valid; rejects if nobody could tell. */
export type VerifySignature = (check: SignatureCheck) => Promise<boolean>;

export interface Verifiers {
  verify: VerifySignature;
  /** Ends the threads; what still waits is rejected. */
  close(): Promise<void>;
}

interface Waiting {
  check: SignatureCheck;
  resolve(isValid: boolean): void;
  reject(error: unknown): void;
}

interface Thread {
  worker: Worker;
  /** Messages sent and not answered, oldest first. */
  asked: Waiting[][];
}

/** One message carries no more: 16 signatures are 3 ms, which whoever comes next may wait. */
const MOST_IN_MESSAGE = 16;
/** What a thread has before it while the one that answers is busy with a pool: 25 ms of work. */
const MOST_MESSAGES = 8;

export function createVerifiers(threadCount: number): Verifiers {
  const queue: Waiting[] = [];
  const threads = new Set<Thread>();
  let isClosed = false;

  const start = (): Thread => {
    const worker = new Worker(new URL('verifier-thread.ts', import.meta.url));
    const thread: Thread = { worker, asked: [] };
    worker.on('message', (answers: boolean[]) => {
      for (const [i, { resolve }] of thread.asked.shift()!.entries()) resolve(answers[i]);
      hand();
    });
    const lose = (error: unknown): void => {
      threads.delete(thread);
      for (const { reject } of thread.asked.splice(0).flat()) reject(error);
      if (!isClosed) hand();
    };
    worker.on('error', lose);
    worker.on('exit', () => lose(new Error('a verifying thread has ended')));
    threads.add(thread);
    return thread;
  };
  /** Hands what waits to whoever has least to do. */
  const hand = (): void => {
    while (queue.length > 0) {
      while (threads.size < threadCount) start();
      const [thread] = [...threads].sort((a, b) => a.asked.length - b.asked.length);
      if (thread.asked.length >= MOST_MESSAGES) return;
      const share = Math.ceil(queue.length / threadCount);
      const message = queue.splice(0, Math.min(share, MOST_IN_MESSAGE));
      thread.asked.push(message);
      thread.worker.postMessage(message.map(({ check }) => check));
    }
  };
  let isDue = false;
  return {
    verify: (check) => new Promise((resolve, reject) => {
      if (isClosed) return reject(new Error('the verifying threads have ended'));
      queue.push({ check, resolve, reject });
      if (isDue) return;
      // What comes in one turn of the loop goes out together.
      isDue = true;
      setImmediate(() => {
        isDue = false;
        hand();
      });
    }),
    async close() {
      isClosed = true;
      for (const { reject } of queue.splice(0)) reject(new Error('the ledger closes'));
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}
