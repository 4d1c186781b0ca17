// One HTTP request, over a connection that the caller opens: to the node's address whatever its
// domain's DNS says, over TLS with the campaign's authority as the only one trusted. Everything a
// server may size or delay is bounded.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';

import type { Connect } from '../node/connection.ts';

export interface Target {
  connect: Connect;
  /** Where to connect. */
  address: string;
  port: number;
  /** Host header, and with `ca` the server name. */
  host: string;
  path: string;
  accept?: string;
  /** PEM: TLS, trusting this alone. */
  ca?: string;
  /** TLS, trusting the machine's own authorities. */
  secure?: boolean;
}

export interface Reply {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
  /** The connection's protocol and the server's certificate, when over TLS. */
  tls?: { protocol: string; notAfterMs: number };
}

const timeoutMs = 30_000;
/** An actor or a NodeInfo is a few kilobytes. */
const maxBodyBytes = 262_144;

/** @throws Error with the reason, in words of Node's TLS and sockets */
export function request(target: Target): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const plain = target.connect(target.address, target.port);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      plain.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error(`no reply in ${timeoutMs / 1000} s`)), timeoutMs);
    plain.on('error', fail);
    open(plain, target).then((stream) => {
      const outgoing = httpRequest({
        createConnection: () => stream,
        path: target.path,
        headers: { host: target.host, accept: target.accept ?? '*/*', connection: 'close' },
      });
      outgoing.on('error', fail);
      outgoing.on('response', (response) => {
        read(response, tlsOf(stream)).then((reply) => {
          clearTimeout(timer);
          plain.destroy();
          resolve(reply);
        }, fail);
      });
      outgoing.end();
    }, fail);
  });
}

/** @throws Error when the reply is not 200 or not a JSON object */
export async function requestJson(
  target: Target,
): Promise<Reply & { json: Record<string, unknown> }> {
  const reply = await request(target);
  if (reply.status !== 200) throw new Error(`${target.path}: status ${reply.status}`);
  const json: unknown = JSON.parse(reply.body);
  if (typeof json !== 'object' || json === null) throw new Error(`${target.path}: no JSON object`);
  return { ...reply, json: json as Record<string, unknown> };
}

function open(plain: Duplex, { ca, secure: overTls, host }: Target): Promise<Duplex> {
  if (ca === undefined && !overTls) return Promise.resolve(plain);
  return new Promise((resolve, reject) => {
    const servername = host.replace(/:\d+$/, '');
    const trusted = ca === undefined ? {} : { ca: [ca] };
    const secure = tlsConnect({ socket: plain, servername, ...trusted, minVersion: 'TLSv1.2' });
    secure.once('error', reject);
    secure.once('secureConnect', () => resolve(secure));
  });
}

function tlsOf(stream: Duplex): Reply['tls'] {
  if (!('getPeerCertificate' in stream)) return undefined;
  const secure = stream as TLSSocket;
  const notAfterMs = Date.parse(secure.getPeerCertificate().valid_to);
  return { protocol: secure.getProtocol() ?? 'TLS', notAfterMs };
}

async function read(response: IncomingMessage, tls: Reply['tls']): Promise<Reply> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of response) {
    pieces.push(piece);
    sizeBytes += piece.length;
    if (sizeBytes > maxBodyBytes) throw new Error(`a reply of more than ${maxBodyBytes} bytes`);
  }
  const body = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  return { status: response.statusCode ?? 0, headers: response.headers, body, tls };
}
