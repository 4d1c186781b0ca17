// The label that goes on a kit: drawn once, as an SVG, from which both picture and paper are made.
// Pure: the same facts give the same bytes.
//
//   ┌──────────────────────────────────────────────┐
//   │ alice                     ▄▄▄▄▄▄    ▄▄▄▄▄▄   │  62 mm
//   │ alice.test                █ QR █    █ QR █   │
//   │ supply ____ V             █    █    █    █   │
//   │ meter  0123 4567 89ab cdef ▀▀▀▀▀▀    ▀▀▀▀▀▀   │
//   │ ledger http://…           ledger   host key  │
//   │ host key SHA256:…                            │
//   └──────────────────────────────────────────────┘  100 mm

import { qrPath } from './qr.ts';

export interface LabelFacts {
  /** The kit's. */
  name: string;
  domain: string;
  community: string;
  /** 16 hex digits. */
  meterId: string;
  /** This kit's page on the ledger. */
  ledgerPage: string;
  /** `SHA256:…` */
  hostKeyFingerprint: string;
}

/** A common size of sticky labels, in millimetres; the drawing's unit. */
export const labelMm = { width: 100, height: 62 };

const qrMm = 27;
const rightEdge = labelMm.width - 4;

export function drawLabel(facts: LabelFacts): string {
  const { width, height } = labelMm;
  const hostKeyX = rightEdge - qrMm;
  const ledgerX = hostKeyX - qrMm - 4;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}mm" height="${height}mm"`,
    ` viewBox="0 0 ${width} ${height}" font-family="DejaVu Sans">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...drawNames(facts, ledgerX - 7),
    ...drawSupply(),
    drawCode(facts.ledgerPage, { x: ledgerX, y: 4, caption: 'ledger' }),
    drawCode(facts.hostKeyFingerprint, { x: hostKeyX, y: 4, caption: 'host key' }),
    ...drawDetails(facts),
    '</svg>\n',
  ].join('\n');
}

/** @param widthMm what the name may take: a long one is set smaller */
function drawNames({ name, domain, community }: LabelFacts, widthMm: number): string[] {
  // DejaVu Sans Bold is 0.70 em wide on average, the regular face 0.62.
  const nameSize = Math.min(9, widthMm / (0.7 * name.length));
  const domainSize = Math.min(3.6, widthMm / (0.62 * domain.length));
  const communitySize = Math.min(3, widthMm / (0.62 * community.length));
  return [
    text(name, { x: 4, y: 13, size: nameSize, weight: 'bold' }),
    text(domain, { x: 4, y: 20, size: domainSize }),
    text(community, { x: 4, y: 26, size: communitySize }),
  ];
}

/** Room to write: a supply of another voltage may fit the node's socket (docs/safety.md). */
function drawSupply(): string[] {
  const y = 33.5;
  return [
    text('supply', { x: 4, y, size: 2.8 }),
    `<path d="M16 ${y}H27" stroke="#000" stroke-width=".2"/>`,
    text('V', { x: 28.5, y, size: 2.8 }),
  ];
}

function drawDetails({ meterId, ledgerPage, hostKeyFingerprint }: LabelFacts): string[] {
  const groups = meterId.match(/.{1,4}/g)!.join(' ');
  const rows = [
    ['meter', groups],
    ['ledger', ledgerPage],
    ['host key', hostKeyFingerprint],
  ];
  const line = '<path d="M4 38.5H96" stroke="#000" stroke-width=".2"/>';
  return [line, ...rows.flatMap(([caption, value], at) => drawRow(caption, value, 44 + at * 6.5))];
}

function drawRow(caption: string, value: string, y: number): string[] {
  const x = 20;
  // DejaVu Sans Mono is 0.602 em wide.
  const size = Math.min(3.1, (rightEdge - x) / (0.602 * value.length));
  return [
    text(caption, { x: 4, y, size: 2.8 }),
    text(value, { x, y, size, family: 'DejaVu Sans Mono' }),
  ];
}

function drawCode(content: string, place: { x: number; y: number; caption: string }): string {
  const code = qrPath(content);
  const scale = round(qrMm / code.size);
  const { x, y, caption } = place;
  const middle = x + qrMm / 2;
  return [
    `<path transform="translate(${x} ${y}) scale(${scale})" shape-rendering="crispEdges"`,
    ` d="${code.path}"/>`,
    text(caption, { x: middle, y: y + qrMm + 4, size: 2.8, anchor: 'middle' }),
  ].join('\n');
}

interface TextPlace {
  x: number;
  y: number;
  size: number;
  weight?: 'bold';
  family?: string;
  anchor?: 'middle';
}

function text(content: string, { x, y, size, weight, family, anchor }: TextPlace): string {
  const attributes = [
    `x="${round(x)}" y="${round(y)}" font-size="${round(size)}"`,
    weight && `font-weight="${weight}"`,
    family && `font-family="${family}"`,
    anchor && `text-anchor="${anchor}"`,
  ].filter(Boolean);
  return `<text ${attributes.join(' ')}>${escape(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** For text within an element; attributes here hold none. */
function escape(content: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
  return content.replace(/[&<>]/g, (sign) => entities[sign]);
}
