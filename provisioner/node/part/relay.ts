// The meter's way to the ledger, through the node's web server: plain HTTP from the home's own
// network on one side, TLS to the ledger on the other. Pure.

import { isIPv6 } from 'node:net';

import { FactError, type Fact } from '../fact.ts';
import { privateRanges } from './ranges.ts';
import { relayTag } from './status.ts';

export interface Relay {
  /** Base URL of the ledger, without a slash at the end. */
  ledger: string;
  /** Where nginx looks names up, from the node's resolv.conf. */
  resolvers: string[];
}

/** The ledger takes batches and enrolments of at most this (docs/wire.md). */
const maxBatchSize = '16k';

/**
 * For the http level. One meter reports hourly, and tries again in seconds when cut off. That the
 * ledger took a batch is told to the journal, which bounds itself: no address, nothing else.
 */
export const relayZone = `limit_req_zone $binary_remote_addr zone=commons_relay:1m rate=5r/s;
log_format commons_relay $status;
map "$request_method $uri $status" $commons_acked {
    default 0;
    "POST /commons/v1/batches 200" 1;
}`;

const journal = `syslog:server=unix:/dev/log,nohostname,tag=${relayTag}`;

/**
 * For a server's level. The address is a variable, so that nginx looks it up when it is asked and
 * starts without it. Only IPv4 is looked up: nginx gives up on a name if either lookup fails, and
 * some home routers refuse the other. Meters cannot read chunked replies (FACTS): nginx ends those
 * by closing.
 */
export function relay({ ledger, resolvers }: Relay): string {
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
        access_log ${journal} commons_relay if=$commons_acked;
    }
`;
}

/** resolv.conf(5) takes three; nginx cannot use addresses bound to an interface (`%`). */
export const resolvers: Fact<string[]> = {
  script: 'cat /etc/resolv.conf',
  parse(text) {
    const addresses = [...text.matchAll(/^nameserver\s+([0-9a-fA-F.:]+)\s*$/gm)];
    if (addresses.length === 0) throw new FactError('a nameserver in /etc/resolv.conf', text);
    return addresses.slice(0, 3).map((match) => match[1]);
  },
};
