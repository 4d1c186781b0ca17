// What only the ledger's operator may do, on DIR/admin.sock: whoever can open that file is the
// operator.

import { request } from 'node:http';
import { Hono } from 'hono';
import { LedgerError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import { decodeBase64, encodeBase64 } from './log/base64.ts';
import { ED25519_KEY_BYTES } from './log/ed25519.ts';
import { problem } from './problem.ts';
import { socketPath } from './unix-socket.ts';

const KEY_PREFIX = 'commons-volunteer-ed25519:';

export function adminRoutes(ledger: Ledger): Hono {
  const app = new Hono();
  app.post('/admit', async (c) => {
    const { isNew } = await ledger.admit(parseVolunteerKey(await c.req.text()));
    return c.json({ isNew });
  });
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

/** Admits a volunteer through the server that holds the ledger. */
export function admitThroughSocket(path: string, keyText: string): Promise<{ isNew: boolean }> {
  const short = socketPath(path);
  return new Promise<{ isNew: boolean }>((resolve, reject) => {
    const post = request({ socketPath: short.path, path: '/admit', method: 'POST' }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(JSON.parse(text) as { isNew: boolean });
        else reject(new LedgerError({ code: 'admin-refused', message: 'Not admitted', got: text }));
      });
    });
    post.on('error', reject);
    post.end(keyText);
  }).finally(short.release);
}
