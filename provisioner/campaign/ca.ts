// The campaign's certificate authority: one ECDSA P-256 key that certifies the kits' domains while
// they are on the bench and in homes without a public name. Nodes trust it, so it is held narrow:
// it can sign no further authority (pathLen 0) and no name outside the campaign (RFC 5280
// § 4.2.1.10), whoever gets hold of its key. Makes keys and certificates; keeps nothing. What it is made
// with takes as long to load as most commands run: imported only where something is to be made.

import 'reflect-metadata';

import { createECDH, createPrivateKey, webcrypto } from 'node:crypto';

import * as x509 from '@peculiar/x509';

import { nameConstraints, nameConstraintsOid, type TlsCredential } from './certificate.ts';
import type { RandomSource } from './identity.ts';

export interface CertificateDeps {
  random: RandomSource;
  now: () => number;
}

/**
 * Nobody renews a certificate once its kit is its owner's, and a sooner end would guard nothing: whoever
 * has the node's key has its actor's and its host key as well, which never end. Browsers' 398 days
 * (CA/Browser Forum BR § 6.3.2) bind public authorities; those that a person adds, Apple binds to 825.
 */
export const certificateDays = 3650;
const authorityDays = 2 * certificateDays;
const dayMs = 86_400_000;
/** The bench's clock may be ahead of the node's. */
const backdatedMs = dayMs;
const p256 = { name: 'ECDSA', namedCurve: 'P-256' };
const signing = { name: 'ECDSA', hash: 'SHA-256' };

/** A new P-256 key as PKCS #8 PEM. */
export function makeKey(random: RandomSource): string {
  const curve = createECDH('prime256v1');
  for (;;) {
    const scalar = Buffer.from(random(32));
    try {
      curve.setPrivateKey(scalar);
    } catch {
      continue; // Zero or beyond the group's order: one draw in 2^32.
    }
    const point = curve.getPublicKey();
    const [x, y] = [point.subarray(1, 33), point.subarray(33)];
    const b64 = (bytes: Buffer) => bytes.toString('base64url');
    const jwk = { kty: 'EC', crv: 'P-256', d: b64(scalar), x: b64(x), y: b64(y) };
    const key = createPrivateKey({ key: jwk, format: 'jwk' });
    return key.export({ format: 'pem', type: 'pkcs8' }) as string;
  }
}

/** The authority's own certificate. Made again with the same key, it widens what it may certify. */
export async function makeAuthority(
  campaignName: string,
  subtrees: string[],
  options: CertificateDeps & { keyPem: string },
): Promise<string> {
  const keys = await importKey(options.keyPem);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(options.random),
      name: [{ O: [campaignName] }, { CN: ['commons-kit campaign authority'] }],
      ...validity(options.now(), authorityDays),
      signingAlgorithm: signing,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        new x509.Extension(nameConstraintsOid, true, nameConstraints(subtrees)),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return pemOf(certificate);
}

/** A server's certificate for one domain. The caller has checked that the authority covers it. */
export async function certify(
  domain: string,
  authority: TlsCredential,
  options: CertificateDeps & { keyPem: string },
): Promise<TlsCredential> {
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const { notBefore, notAfter } = validity(options.now(), certificateDays);
  const { publicKey } = await importKey(options.keyPem);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(options.random),
      subject: [{ CN: [domain.slice(0, 64)] }],
      issuer: issuer.subjectName,
      notBefore,
      notAfter: notAfter < issuer.notAfter ? notAfter : issuer.notAfter,
      publicKey,
      signingKey: (await importKey(authority.keyPem)).privateKey,
      signingAlgorithm: signing,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: domain }]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto),
        await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { keyPem: options.keyPem, certificatePem: pemOf(certificate) };
}

function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  const startMs = nowMs - backdatedMs;
  return { notBefore: new Date(startMs), notAfter: new Date(startMs + days * dayMs) };
}

/** RFC 5280 § 4.1.2.2: positive, at most 20 bytes; 16 random ones with the top bit clear. */
function serialNumber(random: RandomSource): string {
  const bytes = Buffer.from(random(16));
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function importKey(keyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const jwk = createPrivateKey(keyPem).export({ format: 'jwk' });
  const { d: _secret, ...publicJwk } = jwk;
  const { subtle } = webcrypto;
  return {
    privateKey: await subtle.importKey('jwk', jwk, p256, true, ['sign']),
    publicKey: await subtle.importKey('jwk', publicJwk, p256, true, ['verify']),
  };
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
