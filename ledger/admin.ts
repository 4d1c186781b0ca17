// What only the ledger's operator may do, on DIR/admin.sock: whoever can open that file is the
// operator.

import { request } from 'node:http';
import { Hono } from 'hono';
import { LedgerError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import { decodeBase64, encodeBase64 } from './log/base64.ts';
import { ED25519_KEY_BYTES } from './log/ed25519.ts';
import { parseMeterId } from './owner.ts';
import { problem } from './problem.ts';
import { socketPath } from './unix-socket.ts';
import { checkSpan } from './verify/request.ts';

const KEY_PREFIX = 'commons-volunteer-ed25519:';

export function adminRoutes(ledger: Ledger): Hono {
  const app = new Hono();
  app.post('/admit', async (c) => {
    const { isNew } = await ledger.admit(parseVolunteerKey(await c.req.text()));
    return c.json({ isNew });
  });
  app.post('/erase', async (c) => {
    const { meter, fromMs, toMs } = await c.req.json() as Record<string, unknown>;
    const id = parseMeterId(String(meter));
    return c.json(await ledger.erase(id, checkSpan(fromMs, toMs)));
  });
  app.post('/backup', async (c) => c.json(await ledger.backUp(await c.req.text())));
  app.onError((error) => {
    if (error instanceof LedgerError) return problem(422, error);
    return problem(503, { code: 'try-later', message: String(error) });
  });
  return app;
}

/** The key of `commons-volunteer-ed25519:BASE64`. Throws LedgerError `bad-volunteer-key`. */
export function parseVolunteerKey(text: string): Uint8Array {
  const key = text.startsWith(KEY_PREFIX) ? decodeBase64(text.slice(KEY_PREFIX.length)) : undefined;
  if (key?.length === ED25519_KEY_BYTES) return key;
  const expected = `${KEY_PREFIX}BASE64, as the bench prints it`;
  const parts = { code: 'bad-volunteer-key', message: 'Key refused', expected, got: text };
  throw new LedgerError({ ...parts, exitCode: 2 });
}

/** The inverse of {@link parseVolunteerKey}. */
export function formatVolunteerKey(key: Uint8Array): string {
  return KEY_PREFIX + encodeBase64(key);
}

export type AdminTask = 'admit' | 'backup' | 'erase';

/** Asks the server that holds the ledger; its answer. Throws LedgerError `admin-refused`. */
export function askAdmin<T>(path: string, what: AdminTask, body: string): Promise<T> {
  const short = socketPath(path);
  return new Promise<T>((resolve, reject) => {
    const options = { socketPath: short.path, path: `/${what}`, method: 'POST' };
    const post = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new LedgerError({ code: 'admin-refused', message: 'Refused', got: text }));
      });
    });
    post.on('error', reject);
    post.end(body);
  }).finally(short.release);
}
