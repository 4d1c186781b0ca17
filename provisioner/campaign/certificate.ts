// Certificates as they are read: for which names, until when, and which names an authority may
// certify. Pure; what makes certificates is ca.ts.

import { X509Certificate } from 'node:crypto';

/** A key and its certificate, both PEM; `keyPem` is PKCS #8 and secret. */
export interface TlsCredential {
  keyPem: string;
  certificatePem: string;
}

/** For whom a certificate stands, and until when. */
export function readCertificate(pem: string): { domains: string[]; notAfterMs: number } {
  const { subjectAltName = '', validToDate } = new X509Certificate(pem);
  const names = subjectAltName.split(', ').filter((name) => name.startsWith('DNS:'));
  return {
    domains: names.map((name) => name.slice('DNS:'.length)),
    notAfterMs: validToDate.getTime(),
  };
}

// Which names an authority may certify (RFC 5280 § 4.2.1.10).

/** RFC 6761, RFC 8375, RFC 9476 and the like: names that can never be somebody else's in public. */
const specialUse = ['test', 'example', 'invalid', 'localhost', 'local', 'internal', 'home.arpa'];

/** The smallest set of subtrees that holds all `domains`; special-use ones are taken whole. */
export function permittedSubtrees(domains: string[]): string[] {
  const roots = domains.map(
    (domain) => specialUse.find((root) => domain.endsWith(`.${root}`)) ?? domain,
  );
  return [...new Set(roots)].filter((root, _, all) => !covers(all.filter((o) => o !== root), root));
}

/** Whether `domain` lies in one of `subtrees`. */
export function covers(subtrees: string[], domain: string): boolean {
  return subtrees.some((root) => domain === root || domain.endsWith(`.${root}`));
}

/** The subtrees that an authority's certificate permits. */
export function readSubtrees(pem: string): string[] {
  const constraints = readExtension(new X509Certificate(pem).raw, nameConstraintsOid);
  if (constraints === undefined) return [];
  const permitted = readTlv(constraints).filter(({ tag }) => tag === 0xa0);
  return permitted
    .flatMap(({ content }) => readTlv(content))
    .flatMap(({ content }) => readTlv(content))
    .filter(({ tag }) => tag === 0x82)
    .map(({ content }) => Buffer.from(content).toString('ascii'));
}

export const nameConstraintsOid = '2.5.29.30';

/**
 *   NameConstraints ::= SEQUENCE {
 *     permittedSubtrees [0] SEQUENCE OF SEQUENCE { base [2] dNSName },
 *     excludedSubtrees  [1] every iPAddress [7], of which a permitted name says nothing
 *   }
 */
export function nameConstraints(subtrees: string[]): Uint8Array<ArrayBuffer> {
  const subtree = (tag: number, base: Uint8Array) => tlv(0x30, tlv(tag, base));
  const permitted = subtrees.map((domain) => subtree(0x82, Buffer.from(domain, 'ascii')));
  const excluded = [8, 32].map((sizeBytes) => subtree(0x87, new Uint8Array(sizeBytes)));
  return tlv(0x30, tlv(0xa0, ...permitted), tlv(0xa1, ...excluded));
}

/**
 * The content of an extension's value, where the certificate (DER) has it:
 *
 *   Certificate ::= SEQUENCE { SEQUENCE { …, extensions [3] SEQUENCE OF Extension }, … }
 *   Extension   ::= SEQUENCE { OBJECT IDENTIFIER, critical BOOLEAN OPTIONAL, OCTET STRING }
 */
function readExtension(der: Uint8Array, oid: string): Uint8Array | undefined {
  const [certificate] = readTlv(der);
  const [body] = readTlv(certificate.content);
  const wrapped = readTlv(body.content).find(({ tag }) => tag === 0xa3);
  const [list] = wrapped === undefined ? [] : readTlv(wrapped.content);
  for (const extension of list === undefined ? [] : readTlv(list.content)) {
    const parts = readTlv(extension.content);
    if (!Buffer.from(parts[0].content).equals(oidBytes(oid))) continue;
    const [value] = readTlv(parts.at(-1)!.content);
    return value.content;
  }
  return undefined;
}

/** X.690 § 8.19, for arcs below 128. */
function oidBytes(oid: string): Uint8Array {
  const [first, second, ...rest] = oid.split('.').map(Number);
  return Uint8Array.of(40 * first + second, ...rest);
}

/** X.690 § 8.1: tag, length, content. */
function tlv(tag: number, ...content: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = Buffer.concat(content);
  const { length } = body;
  const short = length < 0x80 ? [length] : [0x81, length];
  const head = length < 0x100 ? short : [0x82, length >> 8, length & 0xff];
  return new Uint8Array(Buffer.concat([Buffer.from([tag, ...head]), body]));
}

/** The inverse of {@link tlv} for a run of elements. */
function readTlv(bytes: Uint8Array): { tag: number; content: Uint8Array }[] {
  const elements = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at];
    const long = bytes[at + 1] > 0x80 ? bytes[at + 1] - 0x80 : 0;
    const start = at + 2 + long;
    const sizeBytes = long === 0 ? bytes[at + 1] : Buffer.from(bytes).readUIntBE(at + 2, long);
    elements.push({ tag, content: bytes.subarray(start, start + sizeBytes) });
    at = start + sizeBytes;
  }
  return elements;
}
