// Where an auditor reads a log's public files: a folder, or the web. Reads only; judges nothing.

import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { LedgerError } from '../errors.ts';
import { firstOfTile, parseTilePath, TILE_WIDTH, tilePath } from '../log/tiles.ts';

export interface PublicFiles {
  /** The bytes at a path such as `tile/0/000.p/7`, or null if there is none. */
  read(path: string): Promise<Uint8Array | null>;
  /** Every path there is; null where nobody can list, as on the web. */
  list(): Promise<string[] | null>;
}

/** No honest public file is larger: a full bundle of the largest entries. */
const MAX_FILE_BYTES = 256 * 65_537;
const REQUEST_MS = 30_000;

/** A ledger's folder, or the public folder within it. */
export function folderFiles(dir: string): PublicFiles {
  return {
    async read(path) {
      try {
        return new Uint8Array(await readFile(join(dir, path)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
    async list() {
      const found = await readdir(dir, { recursive: true, withFileTypes: true });
      return found
        .filter((entry) => !entry.isDirectory())
        .map((entry) => relative(dir, join(entry.parentPath, entry.name)));
    },
  };
}

/** Times that a busy server is asked for one file. */
const MOST_TRIES = 20;
/** Whoever asks for more patience than this is as good as gone. */
const MOST_WAIT_S = 60;

/** A log's URL prefix. `waitS` waits as long as a server asks for. */
export function webFiles(
  prefix: string, waitS: (seconds: number) => Promise<unknown> = (seconds) => setTimeout(1000 * seconds),
): PublicFiles {
  const base = prefix.endsWith('/') ? prefix : `${prefix}/`;
  const get = async (path: string): Promise<Uint8Array | null> => {
    const url = new URL(path, base);
    for (let tries = 1; ; tries++) {
      const answer = await fetchOnce(url);
      if (!('waitS' in answer)) return answer.bytes;
      if (tries === MOST_TRIES) throw unreachable(url, 'status 200', `${tries} times ${answer.got}`);
      await waitS(answer.waitS);
    }
  };
  return {
    async read(path) {
      const bytes = await get(path);
      const tile = bytes === null ? parseTilePath(path) : undefined;
      if (tile === undefined || tile.width === TILE_WIDTH) return bytes;
      // tlog-tiles § Partial Tiles: it may be gone once the full one is there, which begins alike.
      const full = await get(tilePath({ ...tile, width: TILE_WIDTH }));
      return full === null ? null : firstOfTile(full, tile);
    },
    list: async () => null,
  };
}

/** A file; null if there is none; or, of a server that has too much to do, when to ask again. */
async function fetchOnce(
  url: URL,
): Promise<{ bytes: Uint8Array | null } | { waitS: number; got: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_MS) });
    const { status } = response;
    if (status === 404 || status === 410) return { bytes: null };
    if (response.ok) return { bytes: await boundedBody(response, url) };
    await response.body?.cancel();
    // RFC 9110 § 10.2.3; without it, as the ledger itself says it.
    const wanted = Number(response.headers.get('Retry-After') ?? 1);
    const isBusy = (status === 429 || status === 503) && wanted >= 0 && wanted <= MOST_WAIT_S;
    if (isBusy) return { waitS: wanted, got: `${status}` };
    throw unreachable(url, 'status 200', `${status}`);
  } catch (error) {
    if (error instanceof LedgerError) throw error;
    const { name, cause, message } = error as Error;
    const got = name === 'TimeoutError' ? 'none' : (cause as Error | undefined)?.message ?? message;
    throw unreachable(url, `an answer within ${REQUEST_MS / 1000} s`, got);
  }
}

function unreachable(url: URL, expected: string, got: string): LedgerError {
  const message = `Cannot read ${url.href}`;
  return new LedgerError({ code: 'unreachable', message, expected, got });
}

async function boundedBody(response: Response, url: URL): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_FILE_BYTES) {
      const parts = { code: 'too-large', message: `Cannot read ${url.href}` };
      throw new LedgerError({ ...parts, expected: `at most ${MAX_FILE_BYTES} bytes`, got: 'more' });
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
