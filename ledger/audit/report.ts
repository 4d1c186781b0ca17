// What an audit says: findings (each one fails it), and for each node what its disclosed batches
// show. Owns the shape of `ledger audit --json` and the lines for people.

import type { MonthReport, MonthsReport } from './months.ts';

/** Something that does not hold. */
export interface Finding {
  /** Closed, kebab-case. */
  code: string;
  /** A path, or `entry 7`, or a meter's id. */
  where: string;
  expected?: string;
  got?: string;
}

export interface Span {
  firstSeq: number;
  lastSeq: number;
}

/** Nothing came from a meter between two times of the ledger's clock; the last one may be open. */
export interface Silence {
  fromMs: number;
  /** Null: nothing since. */
  toMs: number | null;
}

export interface NodeReport {
  /** 16 hex digits. */
  meter: string;
  enrolledMs: number;
  assurance: string;
  revoked: boolean;
  /** By the volunteer who enrolled it. */
  retired: boolean;
  /** Keys that signed for it, or were named to. */
  keys: number;
  batches: number;
  disclosed: number;
  withheld: number;
  /** By the owner's request, or by the operator: see `requests`. */
  erased: number;
  /** Entry indices of batches that should be public and are not. */
  missing: number[];
  /** Declared by the meter in disclosed batches. */
  gaps: Span[];
  /** Skipped between two entries; the batch that may declare why is withheld. */
  unexplained: Span[];
  silences: Silence[];
  /** From the last disclosed batch; null if none is. Counters since the meter's first start. */
  shown: {
    unixS: number;
    seq: number;
    /** Measured. */
    kWh: number;
    energyMicroWh: number;
    upS: number;
    downS: number;
    unknownS: number;
    /** Claimed by the node. */
    wanInBytes: number;
    wanOutBytes: number;
  } | null;
  /** From published batches, oldest first. */
  months: MonthReport[];
  /** What the node did after this is not published; null if nothing is. */
  figuresUntilS: number | null;
}

export interface AuditReport {
  /** No findings, and the key is vouched for by the auditor's policy. */
  ok: boolean;
  /** False: audited without a policy; the log is at best consistent with itself. */
  vouched: boolean;
  origin: string;
  size: number;
  /** Base64. */
  root: string;
  cosignedBy: string[];
  findings: Finding[];
  volunteers: number;
  /** Entries whose meaning was not looked at: another log's. */
  unread: number;
  /** `batches` counts those that name a key as well. */
  entries: {
    enrolled: number; batches: number; succeeded: number; revoked: number; retired: number;
    prices: number;
  };
  blobs: {
    disclosed: number;
    withheld: number;
    erased: number;
    missing: number;
    unreferenced: number;
  };
  equivocations: { meter: string; index: number; q: number }[];
  /** What owners asked after pairing, and what the operator erased without their word. */
  requests: {
    meter: string;
    index: number;
    what: 'publish' | 'erase' | 'disclose';
    by: 'owner' | 'operator';
  }[];
  /** Null for a log without an entry. */
  months: MonthsReport | null;
  nodes: NodeReport[];
}

/** The report for people. */
export function formatReport(report: AuditReport): string {
  const { findings, nodes, blobs, entries, unread } = report;
  const lines = [
    `${verdict(report)}: ${report.origin}, ${report.size} entries, root ${report.root}`,
    ...(unread === 0 ? [] : [`  ${unread} entries of unknown meaning: their bytes, not what they say`]),
    `  ${report.volunteers} volunteers, ${entries.enrolled} kits, ${entries.prices} prices, ` +
      `${entries.batches} batches: ` +
      `${blobs.disclosed} disclosed, ${blobs.withheld} withheld, ${blobs.erased} erased, ` +
      `${blobs.missing} missing`,
  ];
  if (report.cosignedBy.length > 0) lines.push(`  cosigned by ${report.cosignedBy.join(', ')}`);
  for (const { code, where, expected, got } of findings) {
    const detail = [expected && `expected ${expected}`, got && `got ${got}`].filter(Boolean);
    lines.push(`  FAILED ${code} (${where})${detail.length > 0 ? `: ${detail.join(', ')}` : ''}`);
  }
  for (const { meter, index, q } of report.equivocations) {
    lines.push(`  equivocation of ${meter}, entry ${index}: two signatures by one-time key ${q}`);
  }
  for (const { meter, index, what, by } of report.requests) {
    lines.push(`  entry ${index}: ${by}’s request to ${what}, ${meter}`);
  }
  const currency = report.months?.currency ?? null;
  lines.push(...monthsLines(report.months), ...nodes.flatMap((node) => nodeLines(node, currency)));
  return lines.join('\n');
}

function verdict({ ok, vouched, findings }: AuditReport): string {
  if (findings.length > 0) return 'AUDIT FAILED';
  return ok && vouched ? 'audit passed' : 'consistent, key unvouched';
}

function nodeLines(node: NodeReport, currency: string | null): string[] {
  const { meter, batches, disclosed, withheld, missing, shown, gaps, unexplained } = node;
  const ended = [node.revoked ? ', key revoked' : '', node.retired ? ', retired' : ''].join('');
  const state = `${node.keys > 1 ? `, ${node.keys} keys` : ''}${ended}`;
  const lines = [
    `  node ${meter}${state}: ${batches} batches, ${disclosed} disclosed, ${withheld} withheld`,
  ];
  if (shown !== null) {
    lines.push(
      `    measured ${shown.kWh.toFixed(3)} kWh, up ${shown.upS} s, down ${shown.downS} s, ` +
        `unknown ${shown.unknownS} s; claimed ${shown.wanInBytes} bytes in, ` +
        `${shown.wanOutBytes} out; until ${timeOf(shown.unixS)}`,
    );
  }
  const spans = (list: Span[]): string =>
    list.map(({ firstSeq, lastSeq }) => `${firstSeq}–${lastSeq}`).join(', ');
  if (missing.length > 0) lines.push(`    missing: entries ${missing.join(', ')}`);
  if (gaps.length > 0) lines.push(`    gaps that the meter declares: ${spans(gaps)}`);
  if (unexplained.length > 0) lines.push(`    skipped, reason withheld: ${spans(unexplained)}`);
  for (const { fromMs, toMs } of node.silences) {
    const until = toMs === null ? 'still' : `until ${timeOf(toMs / 1000)}`;
    lines.push(`    silent from ${timeOf(fromMs / 1000)} ${until}`);
  }
  return [...lines, ...node.months.map((month) => `    ${monthText(month, currency)}`),
    `    ${unknownText(node)}`];
}

function monthsLines(months: MonthsReport | null): string[] {
  if (months === null) return [];
  const { currency, prices, all } = months;
  const setBy = prices.map(({ entry, perKWh, validFrom, zone }) =>
    `  price: ${perKWh} ${currency} a kWh from ${validFrom} in ${zone} (entry ${entry})`);
  const sums = all.map((month) =>
    `  ${monthText(month, currency)}; ${month.nodes} nodes`);
  return [...setBy, `  all nodes, months in ${months.zone}:`, ...sums];
}

/** One line; what came late is told apart, and costs hold it. */
function monthText(month: MonthReport, currency: string | null): string {
  const { energyMicroWh, upS, downS, unknownS, wanInBytes, wanOutBytes, late, cost } = month;
  const measured = energyMicroWh === null ? 'unknown' : `${(energyMicroWh / 1e9).toFixed(3)} kWh`;
  const claimed = wanInBytes === null ? 'unknown' : `${wanInBytes} bytes in, ${wanOutBytes} out`;
  const state = month.closedBy === null ? 'open' : `closed by entry ${month.closedBy}`;
  const parts = [
    `${month.month} (${state}): measured ${measured}, up ${upS} s, down ${downS} s, ` +
      `unknown ${unknownS} s; claimed ${claimed}`,
  ];
  if (cost !== null) parts.push(`cost ${cost} ${currency}`);
  if (Object.values(late).some((value) => value !== 0)) {
    parts.push(
      `of earlier months, late: ${(late.energyMicroWh / 1e9).toFixed(3)} kWh, up ${late.upS} s, ` +
        `down ${late.downS} s, ${late.wanInBytes} bytes in, ${late.wanOutBytes} out` +
        (cost === null ? '' : `, ${month.lateCost} ${currency} of the cost`),
    );
  }
  return parts.join('; ');
}

/** What no audit can tell. */
function unknownText({ figuresUntilS, withheld, missing }: NodeReport): string {
  const absent = [
    withheld > 0 ? `${withheld} withheld` : '', missing.length > 0 ? `${missing.length} missing` : '',
  ].filter(Boolean).join(' and ');
  const batches = absent === '' ? '' : `; how the sums moved within ${absent} batches is not known`;
  if (figuresUntilS === null) return `nothing is published: all time counts as unknown${batches}`;
  return `figures reach to ${timeOf(figuresUntilS)}; what came after counts as unknown${batches}`;
}

/** RFC 3339; what no calendar has (meters and operators may lie) stays a number. */
function timeOf(unixS: number): string {
  const date = new Date(unixS * 1000);
  return Number.isNaN(date.getTime()) ? `${unixS} s` : date.toISOString();
}
