// What `kit restore` has to know of a snac node. Pure.

import { configureNode } from '../configure.ts';
import type { RestorableFiles, Restoration } from '../kinds.ts';
import { backupFiles, putBackCommand } from '../part/backup.ts';
import type { SnacHome } from './desired.ts';
import { snac } from './plan.ts';
import { certificateKeyPath, certificatePath } from './nginx.ts';
import { snacBackedUp, snacIdentity, snacUsers } from './server.ts';

export const snacRestorable: RestorableFiles = {
  patterns: snacIdentity,
  certificate: [certificatePath, certificateKeyPath],
  leftOut: 'what was installed by hand, and home folders',
};

export function snacRestoration(desired: SnacHome): Restoration {
  const backedUp = snacBackedUp(desired);
  const [program] = backupFiles(backedUp);
  return {
    files: [program],
    putBack: (generation) => ({
      command: putBackCommand(backedUp, generation),
      timeoutS: 300,
    }),
    accounts: {
      script: snacUsers.script,
      parse: (text, exitCode) => Object.keys(snacUsers.parse(text, exitCode)),
    },
    configure: (options) => configureNode(snac, desired, options),
  };
}
