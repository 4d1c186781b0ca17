// The public folder over HTTP: checkpoint, tiles, entry bundles, blobs, just as tlog-tiles names
// them. Serves files that the log wrote under names of its own making, and nothing else of the
// disk.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LedgerError } from './errors.ts';
import { parseTilePath } from './log/tiles.ts';

interface Kind {
  type: string;
  cache: string;
}

/** tlog-tiles: the checkpoint is not to be cached beyond a few seconds, full tiles never change. */
const CHECKPOINT: Kind = { type: 'text/plain; charset=utf-8', cache: 'no-cache' };
const IMMUTABLE = 'public, max-age=31536000, immutable';
const TILE: Kind = { type: 'application/octet-stream', cache: IMMUTABLE };
/** Partial tiles may be dropped once the full one is there. */
const PARTIAL: Kind = { type: 'application/octet-stream', cache: 'public, max-age=60' };
/** Never changes, but may be erased: caches on the way show it for an hour more at most. */
const BLOB: Kind = { type: 'application/cose', cache: 'public, max-age=3600' };

/** What may be asked for, by its path without the first slash. */
function kindOf(path: string): Kind | undefined {
  if (path === 'checkpoint') return CHECKPOINT;
  if (/^blob\/[0-9a-f]{64}$/.test(path)) return BLOB;
  const tile = parseTilePath(path);
  return tile && (tile.width === 256 ? TILE : PARTIAL);
}

/** The response for a path of the public folder. Throws LedgerError `not-found`. */
export async function servePublicFile(publicDir: string, path: string): Promise<Response> {
  const kind = kindOf(path);
  const bytes = kind && (await readFile(join(publicDir, path)).catch(absent));
  if (kind === undefined || bytes === undefined) {
    throw new LedgerError({ code: 'not-found', message: 'No such file', got: path });
  }
  return new Response(new Uint8Array(bytes), {
    headers: {
      'Content-Type': kind.type,
      'Cache-Control': kind.cache,
      'Access-Control-Allow-Origin': '*',
      'X-Content-Type-Options': 'nosniff',
    },
  });
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR' && error.code !== 'EISDIR') throw error;
  return undefined;
}
