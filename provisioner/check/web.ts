// What other servers will ask a node by its domain: the certificate, WebFinger (RFC 7033), the actor
// (ActivityPub § 3.1) and NodeInfo. Asked at the kit's own address, trusting the campaign's
// authority and the public ones.

import { createPublicKey } from 'node:crypto';

import type { Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import type { NodeSecrets } from '../node/kinds.ts';
import { attempt, failed, ok, type Check } from './finding.ts';
import { request, requestJson, type Reply } from './request.ts';

export interface WebDeps {
  connect: Connect;
  secrets: NodeSecrets;
  now: () => number;
  /** The kind's services that answer here. */
  webUnits: string;
}

export interface WebChecks {
  checks: Check[];
  /** SHA-256 of the certificate that the node showed. */
  fingerprint: string | undefined;
}

type Json = Record<string, unknown>;
type Get = (path: string, accept: string) => Promise<Reply & { json: Json }>;

const activityJson = 'application/activity+json';
const dayMs = 86_400_000;
/** Public ones are renewed a month before their end (acme.ts); a kit may lie in a box for a while. */
const minCertificateDays = 21;

export async function checkWeb(kit: Kit, deps: WebDeps): Promise<WebChecks> {
  const { connect, secrets, now, webUnits } = deps;
  const target = {
    connect,
    address: kit.address,
    port: 443,
    host: kit.domain,
    ca: secrets.campaign.caCertificatePem,
  };
  const get: Get = (path, accept) => requestJson({ ...target, path, accept });
  const configureAgain = `Run \`kit configure\`; then look at ${webUnits}.`;
  let fingerprint: string | undefined;
  const tls = await attempt('tls', (error) => tlsAdvice(error, webUnits), async () => {
    const reply = await request({ ...target, path: '/' });
    fingerprint = reply.tls?.fingerprint256;
    return judgeTls(reply, now());
  });
  const checks = [
    tls,
    await attempt('webfinger', configureAgain, () => checkWebFinger(kit, get)),
    await attempt('actor', configureAgain, () => checkActor(kit, get)),
    await attempt('nodeinfo', configureAgain, () => checkNodeInfo(get)),
  ];
  return { checks, fingerprint };
}

/** By Node's names for what OpenSSL and the sockets found. */
function tlsAdvice(error: unknown, webUnits: string): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'CERT_HAS_EXPIRED') return 'Run `kit configure`: it renews the certificate.';
  if (code === 'CERT_NOT_YET_VALID') return 'Set the bench’s clock: it is behind.';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'Run `kit configure`: the certificate is for another name. Is `domain` right?';
  }
  if (/SIGNATURE|SELF_SIGNED|ISSUER_CERT|CERT_UNTRUSTED/.test(code)) {
    return 'Run `kit configure`: nobody that is trusted certified it. Is another server there?';
  }
  return `Is the web server running? Look at ${webUnits}.`;
}

/** The chain and the name were verified by the handshake: only time is left to judge. */
export function judgeTls({ tls }: Pick<Reply, 'tls'>, nowMs: number): Check {
  const days = Math.floor(((tls?.notAfterMs ?? 0) - nowMs) / dayMs);
  const measured = `${tls?.protocol}, by ${tls?.issuer}, ${days} days left`;
  if (days >= minCertificateDays) return ok('tls', measured);
  return failed('tls', measured, 'Run `kit configure`: it renews the certificate.');
}

async function checkWebFinger(kit: Kit, get: Get): Promise<Check> {
  const account = `acct:${kit.owner}@${kit.domain}`;
  const { json } = await get(webFingerPath(account), 'application/jrd+json');
  const self = selfLink(json);
  if (json['subject'] !== account) throw new Error(`the subject is ${String(json['subject'])}`);
  if (!self?.startsWith(`https://${kit.domain}/`)) throw new Error(`it points to ${self}`);
  return ok('webfinger', `${account} is ${self}`);
}

async function checkActor(kit: Kit, get: Get): Promise<Check> {
  const { json: found } = await get(webFingerPath(`acct:${kit.owner}@${kit.domain}`), '*/*');
  const self = new URL(selfLink(found) ?? '');
  const { json } = await get(`${self.pathname}${self.search}`, activityJson);
  if (json['id'] !== self.href) throw new Error(`its id is ${String(json['id'])}`);
  const { id, owner, publicKeyPem } = (json['publicKey'] ?? {}) as Record<string, string>;
  const key = createPublicKey(publicKeyPem);
  if (owner !== self.href || !id.startsWith(self.href)) throw new Error(`its key is ${owner}’s`);
  for (const name of ['inbox', 'outbox']) {
    if (!String(json[name]).startsWith(`https://${kit.domain}/`)) throw new Error(`no ${name}`);
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  return ok('actor', `${self.href}, key ${key.asymmetricKeyType} ${bits ?? ''}`.trim());
}

async function checkNodeInfo(get: Get): Promise<Check> {
  const { json: index } = await get('/.well-known/nodeinfo', 'application/json');
  const links = (index['links'] ?? []) as { rel: string; href: string }[];
  const link = links.find(({ rel }) => rel.startsWith('http://nodeinfo.diaspora.software/ns/'));
  if (link === undefined) throw new Error('no link to a NodeInfo document');
  const { json } = await get(new URL(link.href).pathname, 'application/json');
  const { name, version } = (json['software'] ?? {}) as Record<string, string>;
  const protocols = (json['protocols'] ?? []) as string[];
  if (!protocols.includes('activitypub')) throw new Error(`protocols: ${protocols.join(', ')}`);
  return ok('nodeinfo', `${name} ${version}`);
}

function webFingerPath(account: string): string {
  return `/.well-known/webfinger?resource=${encodeURIComponent(account)}`;
}

function selfLink(json: Json): string | undefined {
  const links = (json['links'] ?? []) as { rel?: string; type?: string; href?: string }[];
  return links.find(({ rel, type }) => rel === 'self' && type === activityJson)?.href;
}
