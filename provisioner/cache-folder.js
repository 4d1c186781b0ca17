// Where what can be made or fetched again is kept between runs. Plain JavaScript for any Node from
// 18 on: the launchers need it too.

import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The project's folder in the user's cache: XDG Base Directory Specification § 3, by which a
 * relative XDG_CACHE_HOME counts as none.
 * @param {Record<string, string | undefined>} env
 * @returns {string}
 */
export function cacheFolder(env = process.env) {
  const { XDG_CACHE_HOME } = env;
  const base = XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(base, 'commons-kit');
}
