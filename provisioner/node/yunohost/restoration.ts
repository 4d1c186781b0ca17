// What `kit restore` has to know of a YunoHost: its archive is put back by its own command on a
// drive where the postinstall was not begun, which YunoHost then does by itself, with an
// administrator whom the archive's directory replaces. What it returns is not believed (it ends with
// 0 when one part of many came back): the directory and the applications are looked at. Pure.

import type { Campaign, Kit } from '../../campaign/campaign.ts';
import { configureNode } from '../configure.ts';
import type { RestorableFiles, Restoration } from '../kinds.ts';
import { backupStore } from '../part/backup.ts';
import { archiveStore, yunohostBackupFiles, yunohostIdentity } from './backup.ts';
import { ours } from './certificate.ts';
import type { YunohostHome } from './desired.ts';
import { directoryScript, looking, readDirectory, settingBack } from './directory.ts';
import { yunohost } from './plan.ts';
import { shutCommand, waitFiles } from './race.ts';
import { refusalFailures, session } from './session.ts';
import { configuredScript, markPath } from './state.ts';

export function yunohostRestorable({ domain }: Kit, campaign: Campaign): RestorableFiles {
  const isOurs = campaign.acme === undefined;
  return {
    patterns: yunohostIdentity(domain),
    leftOut: 'what was installed by hand, and what an application leaves out of its own',
    ...(isOurs && { certificate: [`${ours(domain)}/crt.pem`, `${ours(domain)}/key.pem`] }),
  };
}

export function yunohostRestoration(desired: YunohostHome): Restoration {
  const [program] = yunohostBackupFiles(desired);
  return {
    files: [program, ...waitFiles],
    accounts: { script: directoryScript, parse: (ldif) => readDirectory(ldif).people },
    putBack: (generation) => ({
      command: restoreCommand(generation, desired),
      timeoutS: 3600,
      failures,
    }),
    configure: (options) => configureNode(yunohost, desired, options),
  };
}

/** Of YunoHost's own postinstall within a restoration (src/backup.py). */
const throwawayAdmin = 'tmpadmin';

const [partCode, olderCode, newerCode] = [70, 71, 72];
const failures = {
  ...refusalFailures,
  [partCode]: {
    code: 'restore-in-part',
    expected: 'YunoHost to put back all that its archive holds',
    hint: 'Its own words are above. Give it a way to the internet, and say it again; or write the '
      + 'drive anew, and take an earlier generation.',
  },
  [olderCode]: {
    code: 'backup-yunohost-older',
    expected: 'a backup of YunoHost 12.1 or later',
    hint: 'Put it back by hand on a YunoHost of its time, and upgrade that: docs/restore.md.',
  },
  [newerCode]: {
    code: 'backup-yunohost-newer',
    expected: 'a backup of this drive’s YunoHost, or of an older one',
    hint: 'Build the image anew (`kit image update`), and write the drive with it.',
  },
};

/**
 * From the start each time: what a cut has left is nobody's yet. Applications that are there
 * already YunoHost would pass over, half back or not.
 */
function restoreCommand(generation: string, { domain, owner }: YunohostHome): string {
  const archive = generation.replace(/^(\d+)T(\d+)Z$/, 'commons-$1-$2');
  return `${session}
${looking({ domain, owner: throwawayAdmin })}
folder=${backupStore}/${generation}
yunohost tools versions --output-as json | tail -n 1 >$work/versions
told=$(python3 - $folder/info.json $work/versions <<'PYTHON'
${readInfo}PYTHON
)
kept=$(echo "$told" | sed -n 's/^apps *//p')
version=$(echo "$told" | sed -n 's/^made by //p')
here=$(echo "$told" | sed -n 's/^here //p')
! dpkg --compare-versions "$version" lt 12.1 || {
  echo "it was made by YunoHost $version"; exit ${olderCode}; }
! dpkg --compare-versions "$version" gt "$here" || {
  echo "it was made by YunoHost $version, here is $here"; exit ${newerCode}; }
if [ ! -e ${markPath} ]; then
${shutCommand}
${settingBack({ domain, owner: throwawayAdmin })}
else
  for app in $kept; do
    [ ! -e /etc/yunohost/apps/$app ] || ynh app remove $app --purge
    [ ! -e /etc/yunohost/apps/$app ] || explain
  done
fi
mkdir -p ${archiveStore}
for file in $folder/yunohost.tar*; do
  other=${archiveStore}/${archive}.\${file##*/yunohost.}
  ln -f "$file" "$other" 2>/dev/null || cp "$file" "$other"
done
cp $folder/info.json ${archiveStore}/${archive}.info.json
ynh backup restore ${archive} --force --output-as json
[ $status -eq 0 ] || explain
missing=
for app in $kept; do [ -s /etc/yunohost/apps/$app/settings.yml ] || missing="$missing $app"; done
ldap '(&(objectClass=mailAccount)(uid=${owner}))' || missing="$missing ${owner}"
has_domain || missing="$missing ${domain}"
! grep -qE '"(Error|Skipped)"' $work/out || missing="$missing, and what is called Error or Skipped"
[ -z "$missing" ] || {
  cat $work/out $work/err
  echo "it did not put back$missing"
  exit ${partCode}
}
systemctl --no-reload enable -q nftables
# Only where a cut has left that undone: what its owner had changed by hand came back as well.
if [ "$(
${configuredScript(domain)}
true
)" != "$(printf 'configured %s\\n' ssh web firewall)" ]; then
  ynh tools regen-conf ssh --force
  ynh tools regen-conf --force
fi`;
}

const readInfo = `import json, re, sys
told, versions = [json.load(open(path)) for path in sys.argv[1:]]
apps = list(told["apps"])
if not all(re.fullmatch("[a-z0-9_]+", app) for app in apps):
    sys.exit("its applications have names that are none")
print("apps", *apps)
print("made by", told.get("from_yunohost_version", "0"))
print("here", versions["yunohost"]["version"])
`;
