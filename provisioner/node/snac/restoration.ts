// What `kit restore` has to know of a snac node. Pure.

import { configureNode } from '../configure.ts';
import type { Restoration } from '../kinds.ts';
import { backupFiles } from '../part/backup.ts';
import type { SnacHome } from './desired.ts';
import { snac } from './plan.ts';
import { snacBackedUp, snacUsers } from './server.ts';

export function snacRestoration(desired: SnacHome): Restoration {
  const backedUp = snacBackedUp(desired);
  const [program] = backupFiles(backedUp);
  return {
    program,
    paths: backedUp.paths,
    accounts: {
      script: snacUsers.script,
      parse: (text, exitCode) => Object.keys(snacUsers.parse(text, exitCode)),
    },
    configure: (options) => configureNode(snac, desired, options),
  };
}
