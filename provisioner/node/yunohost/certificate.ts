// The domain's certificate, where YunoHost keeps it: a folder for each that there ever was, and a
// link to the one that is served. The campaign's takes the place of YunoHost's own, which nobody
// trusts; one that the owner had YunoHost obtain is left alone. Let's Encrypt's is asked for by
// YunoHost's own command, which ends with 0 when it was refused: the link says what happened. Pure.

import type { Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import type { FileWrite, Step } from '../step.ts';
import type { YunohostHome } from './desired.ts';
import { refusalFailures, session } from './session.ts';
import { webUnit } from './web.ts';

/** RFC 8555 § 7.1.1: the one authority that YunoHost's command asks. */
export const letsencryptDirectory = 'https://acme-v02.api.letsencrypt.org/directory';

/** Whose certificate is served: YunoHost's own authority's, the campaign's, or another's. */
export type Certified = 'none' | 'yunohost' | 'campaign' | 'other';

const base = '/etc/yunohost/certs';
export const ours = (domain: string): string => `${base}/${domain}-history/commons-kit`;

export function certified(domain: string): Fact<Certified> {
  return {
    script: `cd ${base} && [ -e ${domain} ] && basename "$(readlink -f ${domain})"`,
    parse(text, exitCode) {
      if (exitCode !== 0) return 'none';
      if (text === 'commons-kit') return 'campaign';
      return text.endsWith('-selfsigned') ? 'yunohost' : 'other';
    },
  };
}

export function certificateFiles(desired: YunohostHome): FileWrite[] {
  if (desired.certifiedBy !== 'campaign') return [];
  const file = (name: string, content: FileWrite['content']): FileWrite => ({
    ...{ path: `${ours(desired.domain)}/${name}.pem`, content, mode: '0640' },
    owner: 'root:ssl-cert',
  });
  return [
    file('crt', desired.certificate),
    file('key', desired.certificateKey),
    file('ca', desired.caCertificate),
  ];
}

interface CertificateFacts {
  files: FileStates;
  stamps: Stamps;
  certified: Certified;
}

export function campaignSteps(desired: YunohostHome, facts: CertificateFacts): Step[] {
  const { domain, certifiedBy } = desired;
  if (certifiedBy !== 'campaign' || facts.certified === 'other') return [];
  const files = certificateFiles(desired);
  return [
    ...writeFiles(`Write ${domain}’s certificate`, files, facts.files),
    ...effect(
      {
        id: 'certificate',
        name: `Serve ${domain} with it`,
        dependsOn: files,
        command: `ln -sfn ${ours(domain)} ${base}/.kit-new
mv -fT ${base}/.kit-new ${base}/${domain}
nginx -t -q
systemctl reload-or-restart ${webUnit}
for unit in postfix.service dovecot.service; do
  ! systemctl is-active -q $unit || systemctl reload $unit
done`,
        amiss: facts.certified === 'campaign' ? undefined : 'another is served',
      },
      facts,
    ),
  ];
}

/** Last of all: it takes the internet, and a port that the home's router opens. */
export function letsencryptSteps(desired: YunohostHome, facts: CertificateFacts): Step[] {
  const { domain, certifiedBy } = desired;
  if (certifiedBy !== 'letsencrypt' || facts.certified === 'other') return [];
  return [
    {
      name: `Have Let’s Encrypt certify ${domain}`,
      because: facts.certified === 'none' ? 'it has no certificate' : 'nobody else trusts its own',
      // Refused without a diagnosis; and refused all the same with status 0 and ERROR.
      command: `${session}
ynh diagnosis run dnsrecords web ip ports
ynh domain cert install ${domain}
case $(basename "$(readlink -f ${base}/${domain})") in
  *-selfsigned | commons-kit) explain ;;
esac
! grep -q Error $work/err || explain`,
      timeoutS: 1800,
      failures: refusalFailures,
    },
  ];
}
