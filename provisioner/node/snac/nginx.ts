// nginx in front of snac: the domain over TLS, and on port 80 the meter's relay to the ledger. snac
// stands at the root of the domain, so that WebFinger and NodeInfo need no paths of their own. No
// access log: who reads what in a home is nobody's business, and SD cards wear. Pure.

import { isIPv6 } from 'node:net';

import { privateRanges } from './ranges.ts';

export const snacPort = 8001;
export const certificatePath = '/etc/commons-kit/tls.crt';
export const certificateKeyPath = '/etc/commons-kit/tls.key';

export interface NginxSite {
  domain: string;
  ledger: string;
  /** Where nginx looks names up, from the node's resolv.conf. */
  resolvers: string[];
}

/** Attachments: what snac's own manual suggests to photographers. */
const maxUploadSize = '20m';
/** The ledger takes batches and enrolments of at most this (docs/wire.md). */
const maxBatchSize = '16k';

export function nginxSite(site: NginxSite): string {
  return `# Written by kit configure: changes made here are undone by its next run.
${tlsServer(site.domain)}
# One meter reports hourly, and tries again in seconds when cut off.
limit_req_zone $binary_remote_addr zone=commons_relay:1m rate=5r/s;

server {
    listen 80 default_server;
    listen [::]:80 default_server;
    server_name ${site.domain};
    access_log off;

${relay(site)}
    location / {
        return 301 https://${site.domain}$request_uri;
    }
}
`;
}

/** The part that a second snac server of a try-out needs as well. */
export function tlsServer(domain: string, addresses = ['443', '[::]:443']): string {
  const listen = addresses.map((address) => `    listen ${address} ssl default_server;\n`).join('');
  return `server {
${listen}    http2 on;
    server_name ${domain};
    access_log off;
    ssl_certificate ${certificatePath};
    ssl_certificate_key ${certificateKeyPath};
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

/**
 * The address is a variable, so that nginx looks it up when it is asked and starts without it.
 * Only IPv4 is looked up: nginx gives up on a name if either lookup fails, and some home routers
 * refuse the other. Meters cannot read chunked replies (FACTS): nginx ends those by closing.
 */
function relay({ ledger, resolvers }: NginxSite): string {
  const names = resolvers.map((address) => (isIPv6(address) ? `[${address}]` : address));
  const lan = [...privateRanges.v4, ...privateRanges.v6];
  return `    resolver ${names.join(' ')} valid=30s ipv6=off;
    resolver_timeout 5s;

    location ~ ^/commons(/v1/.*)$ {
${lan.map((range) => `        allow ${range};`).join('\n')}
        deny all;
        limit_req zone=commons_relay burst=20 nodelay;
        limit_except GET POST { deny all; }
        client_max_body_size ${maxBatchSize};
        client_body_timeout 10s;
        set $commons_ledger ${ledger};
        proxy_pass $commons_ledger$1$is_args$args;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_ssl_server_name on;
        proxy_ssl_verify on;
        proxy_ssl_verify_depth 4;
        proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
        proxy_connect_timeout 5s;
        proxy_send_timeout 10s;
        proxy_read_timeout 10s;
        proxy_next_upstream off;
        chunked_transfer_encoding off;
        gzip off;
    }
`;
}
