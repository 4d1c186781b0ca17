// Which bytes of the /kit/ folder are secret: what must not be found on a boot partition once a node
// has read it. Written beside identity-files.ts, whose texts these are parts of. Pure.

import type { KitSecrets } from '../campaign/secrets.ts';
import { passphraseLine } from './identity-files.ts';

/** A secret's name in words, and the lines of /kit/ that hold it: each alone is too much to find. */
export interface SecretTrace {
  name: string;
  lines: string[];
}

/**
 * The lines of the host key's file after the second hold its private section (ssh-key.ts); those
 * before are the same for every key, or public.
 */
export function secretTraces({
  sshHostKey,
  wifi,
}: Pick<KitSecrets, 'sshHostKey' | 'wifi'>): SecretTrace[] {
  const body = sshHostKey.privatePem
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('-----'));
  const hostKey = { name: 'host key', lines: body.slice(2) };
  if (wifi === undefined) return [hostKey];
  // A passphrase alone may be a word that is somewhere for its own sake.
  return [hostKey, { name: 'Wi-Fi passphrase', lines: [passphraseLine(wifi.passphrase)] }];
}
