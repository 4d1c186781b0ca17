// One HTTP request, over a connection that the caller opens: to the node's address whatever its
// domain's DNS says, over TLS with the campaign's authority trusted besides the public ones.
// Everything a server may size or delay is bounded.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect, rootCertificates, type TLSSocket } from 'node:tls';

import type { Connect } from '../node/connection.ts';
import type { Secret } from '../node/secret.ts';

export interface Target {
  connect: Connect;
  /** Where to connect. */
  address: string;
  port: number;
  /** Host header, and with `ca` the server name. */
  host: string;
  path: string;
  accept?: string;
  /** A form's fields: posted, with `login`'s name and password (RFC 7617). */
  form?: Record<string, string>;
  login?: { user: string; passphrase: Secret };
  /** PEM: TLS, trusting this besides the public authorities. */
  ca?: string;
  /** TLS, trusting the public authorities. */
  secure?: boolean;
  /** TLS, whoever answers: only to see which certificate is shown. Nothing is sent that matters. */
  anybody?: boolean;
  timeoutMs?: number;
}

export interface Reply {
  status: number;
  headers: IncomingMessage['headers'];
  body: Buffer;
  /** The connection's protocol and the server's certificate, when over TLS. */
  tls?: ServerTls;
}

export interface ServerTls {
  protocol: string;
  notAfterMs: number;
  /** Common name or organisation of who certified the server. */
  issuer: string;
  /** SHA-256 of the certificate. */
  fingerprint256: string;
}

const defaultTimeoutMs = 30_000;
/** An actor or a NodeInfo is a few kilobytes. */
const maxBodyBytes = 262_144;

/** @throws Error with the reason, in words of Node's TLS and sockets */
export function request(target: Target): Promise<Reply> {
  const { timeoutMs = defaultTimeoutMs } = target;
  return new Promise((resolve, reject) => {
    const plain = target.connect(target.address, target.port);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      plain.destroy();
      // Node tells programmers what to start it with: nothing that whoever asked could do.
      error.message = error.message.replace(/; if the root CA is installed locally.*/, '');
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error(`no reply in ${timeoutMs / 1000} s`)), timeoutMs);
    plain.on('error', fail);
    open(plain, target).then((stream) => {
      const outgoing = httpRequest({
        createConnection: () => stream,
        path: target.path,
        method: target.form ? 'POST' : 'GET',
        headers: headersOf(target),
      });
      outgoing.on('error', fail);
      outgoing.on('response', (response) => {
        read(response, tlsOf(stream)).then((reply) => {
          clearTimeout(timer);
          plain.destroy();
          resolve(reply);
        }, fail);
      });
      outgoing.end(target.form && String(new URLSearchParams(target.form)));
    }, fail);
  });
}

function headersOf({ host, accept = '*/*', form, login }: Target): Record<string, string> {
  const basic = login && Buffer.from(`${login.user}:${login.passphrase.reveal()}`);
  return {
    ...{ host, accept, connection: 'close' },
    ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
    ...(basic && { authorization: `Basic ${basic.toString('base64')}` }),
  };
}

/** @throws Error when the reply is not 200 or not a JSON object */
export async function requestJson(
  target: Target,
): Promise<Reply & { json: Record<string, unknown> }> {
  const reply = await request(target);
  if (reply.status !== 200) throw new Error(`${target.path}: status ${reply.status}`);
  const json: unknown = JSON.parse(textOf(reply));
  if (typeof json !== 'object' || json === null) throw new Error(`${target.path}: no JSON object`);
  return { ...reply, json: json as Record<string, unknown> };
}

function open(plain: Duplex, { ca, secure: overTls, anybody, host }: Target): Promise<Duplex> {
  if (ca === undefined && !overTls && !anybody) return Promise.resolve(plain);
  return new Promise((resolve, reject) => {
    const servername = host.replace(/:\d+$/, '');
    const trusted = ca === undefined ? {} : { ca: [ca, ...rootCertificates] };
    const secure = tlsConnect({
      ...{ socket: plain, servername, ...trusted, minVersion: 'TLSv1.2' },
      rejectUnauthorized: !anybody,
    });
    secure.once('error', reject);
    secure.once('secureConnect', () => resolve(secure));
  });
}

function tlsOf(stream: Duplex): Reply['tls'] {
  if (!('getPeerCertificate' in stream)) return undefined;
  const secure = stream as TLSSocket;
  const { valid_to: notAfter, issuer, fingerprint256 } = secure.getPeerCertificate();
  return {
    protocol: secure.getProtocol() ?? 'TLS',
    notAfterMs: Date.parse(notAfter),
    issuer: String(issuer.CN ?? issuer.O ?? 'nobody named'),
    fingerprint256,
  };
}

async function read(response: IncomingMessage, tls: Reply['tls']): Promise<Reply> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of response) {
    pieces.push(piece);
    sizeBytes += piece.length;
    if (sizeBytes > maxBodyBytes) throw new Error(`a reply of more than ${maxBodyBytes} bytes`);
  }
  const body = Buffer.concat(pieces);
  return { status: response.statusCode ?? 0, headers: response.headers, body, tls };
}

/** A reply's body. @throws TypeError when it is not UTF-8 */
export function textOf({ body }: Reply): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(body);
}
