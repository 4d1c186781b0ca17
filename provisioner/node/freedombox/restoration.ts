// What `kit restore` has to know of a FreedomBox. Its own first setup ends first: it makes the
// directory and sets Debian's services up, and a database that is back says that all this was done.
// Which applications are set up is then the new drive's to say: those that its owner had added are
// not on it, and FreedomBox offers them again. Pure.

import { configureNode } from '../configure.ts';
import type { RestorableFiles, Restoration } from '../kinds.ts';
import { backupFiles, backupStore, putBackCommand } from '../part/backup.ts';
import { certificateKeyPath, certificatePath } from '../snac/nginx.ts';
import type { StepFailure } from '../step.ts';
import { freedomboxBackedUp, freedomboxIdentity } from './backed-up.ts';
import type { FreedomboxHome } from './desired.ts';
import { freedombox } from './plan.ts';
import { databasePath, freedomboxAccounts } from './state.ts';
import { browser, firstSetupS, unready } from './wizard.ts';

export const freedomboxRestorable: RestorableFiles = {
  patterns: freedomboxIdentity,
  certificate: [certificatePath, certificateKeyPath],
  leftOut: 'applications added to FreedomBox and what they keep, certificates that it obtained, '
    + 'and what was installed by hand',
};

export function freedomboxRestoration(desired: FreedomboxHome): Restoration {
  const [program] = backupFiles(freedomboxBackedUp(desired));
  return {
    files: [program],
    accounts: freedomboxAccounts,
    putBack: (generation) => ({
      command: restoreCommand(generation, desired),
      timeoutS: firstSetupS + 600,
      failures,
    }),
    configure: (options) => configureNode(freedombox, desired, options),
  };
}

const [incompleteCode, newerCode] = [70, 71];
const failures: Record<number, StepFailure> = {
  ...unready,
  [incompleteCode]: {
    code: 'backup-incomplete',
    expected: 'FreedomBox’s database in the backup, and readable',
    hint: 'Take an earlier generation: name its folder with --from.',
  },
  [newerCode]: {
    code: 'backup-freedombox-newer',
    expected: 'a backup of this drive’s FreedomBox, or of an older one',
    hint: 'Build the image anew (`kit image update`), and write the drive with it.',
  },
};

/** The drive's own database, as it was before anything was put back: of a run that was cut off too. */
const asNew = '/var/lib/commons-kit/freedombox-as-new';
/** Keeps plinth from starting with a database that says more than is true; gone with a boot. */
const held = '/run/systemd/system/plinth.service.d/commons-restore.conf';

function restoreCommand(generation: string, desired: FreedomboxHome): string {
  const backedUp = freedomboxBackedUp(desired);
  const database = databasePath.slice(1);
  return `${browser}
release() {
  rm -f ${held}
  systemctl daemon-reload
}
trap 'rm -rf "$work"; release' EXIT
release
systemctl start plinth.service
ready
if [ ! -s ${asNew} ]; then
  python3 - ${databasePath} ${asNew}.new <<'PYTHON'
${copyDatabase}PYTHON
  sync ${asNew}.new
  mv -f ${asNew}.new ${asNew}
fi
# Of the archives, whose sums are right, some have it: the last of them as it was in the end.
for archive in ${backupStore}/${generation}/*.tar.zst; do
  tar -x -C $work -f $archive ${database} 2>/dev/null || true
done
[ -s $work/${database} ] || { echo 'it is in none of the archives'; exit ${incompleteCode}; }
python3 - ${asNew} $work/${database} <<'PYTHON'
${refuseNewer}PYTHON
mkdir -p ${held.slice(0, held.lastIndexOf('/'))}
printf '[Unit]\\nConditionPathExists=/run/commons-restored\\n' >${held}
systemctl daemon-reload
${putBackCommand(backedUp, generation)}
python3 - ${databasePath} ${asNew} <<'PYTHON'
${keepModules}PYTHON
release
systemctl start plinth.service
ready
systemctl is-active --quiet ${backedUp.services.join(' ')}
sync
rm -f ${asNew}`;
}

const copyDatabase = `import sqlite3, sys
source = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True, timeout=20)
source.backup(sqlite3.connect(sys.argv[2]))
`;

/** Django's migrations go forwards: what the drive's FreedomBox does not know it cannot undo. */
const refuseNewer = `import sqlite3, sys
def migrations(path):
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    return set(db.execute("SELECT app, name FROM django_migrations"))
here = migrations(sys.argv[1])
try:
    there = migrations(sys.argv[2])
except sqlite3.DatabaseError as error:
    print(error)
    sys.exit(${incompleteCode})
unknown = sorted(" ".join(one) for one in there - here)
if unknown:
    print("it has been through %s, which FreedomBox here does not know" % ", ".join(unknown))
    sys.exit(${newerCode})
`;

const keepModules = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=20)
db.execute("ATTACH ? AS fresh", sys.argv[2:])
columns = "(name, setup_version)"
with db:
    db.execute("DELETE FROM main.plinth_module")
    db.execute("INSERT INTO main.plinth_module %s SELECT name, setup_version FROM fresh.plinth_module" % columns)
`;
