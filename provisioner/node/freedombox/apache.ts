// Apache's part: the kit's domain over TLS, Debian's own configuration of snac2 beside FreedomBox,
// and the meter's relay to the ledger. FreedomBox's files are left alone. Pure.

import { privateRanges } from '../part/ranges.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import type { Fact } from '../fact.ts';
import type { FileWrite, Step } from '../step.ts';
import { certificateKeyPath, certificatePath } from '../snac/nginx.ts';
import type { FreedomboxHome } from './desired.ts';

export const apacheUnit = 'apache2.service';

/**
 * Apache takes the first of two sites for one name, in the order of their files: a certificate that
 * the owner has FreedomBox obtain later is served in place of the campaign's.
 */
const site = 'zzz-commons-kit';
const config = 'commons-kit';

export function apacheFiles(
  desired: FreedomboxHome,
): Record<'certificate' | 'web', FileWrite[]> {
  const file = (path: string, content: FileWrite['content'], mode = '0644'): FileWrite => ({
    ...{ path, mode, owner: 'root:root', content },
  });
  return {
    certificate: [
      file(certificatePath, desired.certificate),
      file(certificateKeyPath, desired.certificateKey, '0600'),
    ],
    web: [
      file(`/etc/apache2/sites-available/${site}.conf`, tlsSite(desired.domain)),
      file(`/etc/apache2/conf-available/${config}.conf`, relay(desired.ledger)),
    ],
  };
}

const tlsSite = (domain: string): string => `# Written by kit configure.
<VirtualHost _default_:443>
    ServerName ${domain}
    DocumentRoot /var/www/html
    SSLEngine on
    SSLProtocol -all +TLSv1.2 +TLSv1.3
    SSLUseStapling off
    SSLCertificateFile ${certificatePath}
    SSLCertificateKeyFile ${certificateKeyPath}
</VirtualHost>
`;

/**
 * As on a snac node (part/relay.ts): from the home's own network, GET and POST, 16 KiB, 10 s; the
 * ledger's name is looked up at each request. Meters cannot read chunked replies (FACTS): to what
 * passes for HTTP/1.0 Apache sends none.
 */
const relay = (ledger: string): string => `# Written by kit configure.
SetEnvIf Request_URI "^/commons/v1/" downgrade-1.0 nokeepalive no-gzip
<Location "/commons/v1/">
    <RequireAll>
        Require ip ${[...privateRanges.v4, ...privateRanges.v6].join(' ')}
        Require method GET POST
    </RequireAll>
    LimitRequestBody 16384
    ProxyPreserveHost Off
    ProxyPass ${ledger}/v1/ disablereuse=On connectiontimeout=5 timeout=10
</Location>
<Proxy "${ledger}/*">
    SSLProxyEngine on
    SSLProxyVerify require
    SSLProxyVerifyDepth 4
    SSLProxyCheckPeerName on
    SSLProxyCACertificateFile /etc/ssl/certs/ca-certificates.crt
</Proxy>
`;

const enabledParts = ['conf-enabled/snac2.conf', `conf-enabled/${config}.conf`].concat(
  `sites-enabled/${site}.conf`,
);

/** Those of our parts that Apache does not read. */
export const apacheMissing: Fact<string[]> = {
  script: `cd /etc/apache2
for part in ${enabledParts.join(' ')}; do
  [ -e $part ] || echo $part
done`,
  parse: (text) => text.split('\n').filter((part) => part !== ''),
};

/** @param trusted the campaign's authority: the ledger may be certified by it */
export function apacheSteps(
  desired: FreedomboxHome,
  trusted: FileWrite,
  facts: { files: FileStates; stamps: Stamps; units: UnitStates; apacheMissing: string[] },
): Step[] {
  const { certificate, web } = apacheFiles(desired);
  const missing = facts.apacheMissing[0];
  return [
    ...writeFiles(`Write ${desired.domain}’s certificate`, certificate, facts.files),
    ...writeFiles('Write the web server’s site and relay', web, facts.files),
    ...effect(
      {
        id: 'apache',
        name: 'Serve the domain beside FreedomBox',
        dependsOn: [...certificate, ...web, trusted],
        command: `a2enmod -q ssl proxy proxy_http setenvif
a2enconf -q snac2 ${config}
a2ensite -q ${site}
apache2ctl -t 2>&1
${enableCommand(apacheUnit, 'reload-or-restart')}`,
        amiss: missing ? `${missing} is not there` : unitAmiss(apacheUnit, facts.units),
      },
      facts,
    ),
  ];
}
