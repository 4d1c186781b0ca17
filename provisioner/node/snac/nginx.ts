// nginx in front of snac: the domain over TLS, and on port 80 the meter's relay to the ledger. snac
// stands at the root of the domain, so that WebFinger and NodeInfo need no paths of their own. No
// access log: who reads what in a home is nobody's business, and SD cards wear. Pure.

import { challengeLocation, servedPath } from '../part/acme.ts';
import { relay, relayZone, type Relay } from '../part/relay.ts';

export const snacPort = 8001;
export const certificatePath = '/etc/commons-kit/tls.crt';
export const certificateKeyPath = '/etc/commons-kit/tls.key';

export interface NginxSite extends Relay {
  domain: string;
  /** The node obtains its certificate by itself. */
  acme?: unknown;
}

/** Attachments: what snac's own manual suggests to photographers. */
const maxUploadSize = '20m';

export function nginxSite(site: NginxSite): string {
  return `# Written by kit configure: changes made here are undone by its next run.
${tlsServer(site.domain, undefined, site.acme === undefined ? ours : obtained)}
${relayZone}

server {
    listen 80 default_server;
    listen [::]:80 default_server;
    server_name ${site.domain};
    access_log off;

${relay(site)}${site.acme === undefined ? '' : challengeLocation}
    location / {
        return 301 https://${site.domain}$request_uri;
    }
}
`;
}

interface Served {
  certificate: string;
  key: string;
}

const ours: Served = { certificate: certificatePath, key: certificateKeyPath };
const obtained: Served = { certificate: servedPath, key: servedPath };

/** The part that a second snac server of a try-out needs as well. */
export function tlsServer(
  domain: string,
  addresses = ['443', '[::]:443'],
  { certificate, key } = ours,
): string {
  const listen = addresses.map((address) => `    listen ${address} ssl default_server;\n`).join('');
  return `server {
${listen}    http2 on;
    server_name ${domain};
    access_log off;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_tickets off;
    client_max_body_size ${maxUploadSize};

    location / {
        proxy_pass http://127.0.0.1:${snacPort};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Proxy "";
    }
}
`;
}
