// Where an auditor reads a log's public files: a folder, or the web. Reads only; judges nothing.

import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
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

/** A log's URL prefix. */
export function webFiles(prefix: string): PublicFiles {
  const base = prefix.endsWith('/') ? prefix : `${prefix}/`;
  const get = async (path: string): Promise<Uint8Array | null> => {
    const url = new URL(path, base);
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_MS) });
    if (response.status === 404 || response.status === 410) return null;
    if (!response.ok) {
      const parts = { code: 'unreachable', message: `Cannot read ${url.href}` };
      throw new LedgerError({ ...parts, expected: 'status 200', got: `${response.status}` });
    }
    return await boundedBody(response, url);
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
