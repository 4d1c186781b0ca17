// Ledgers in temporary folders for tests: opened, filled, audited, gone at the end.

import { decode } from 'cborg';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audit } from '../../ledger/audit/audit.ts';
import type { AuditReport } from '../../ledger/audit/report.ts';
import { folderFiles } from '../../ledger/audit/source.ts';
import type { Clock } from '../../ledger/clock.ts';
import type { Ledger, LedgerOptions } from '../../ledger/ledger.ts';
import { openLedger } from '../../ledger/ledger.ts';
import { formatLogPolicy, parsePolicy } from '../../ledger/log/policy.ts';
import type { Policy } from '../../ledger/log/policy.ts';
import { createVolunteer, enrolmentBody, START_S } from './meter.ts';
import type { EnrolmentOptions, TestMeter } from './meter.ts';

export const VOLUNTEER = createVolunteer('alice');

/** A clock that stands still until told otherwise. */
export interface TestClock extends Clock {
  atMs: number;
}

/** Ten days after the meters' first reading: all of theirs lie in the past. */
export function createClock(atMs = (START_S + 864_000) * 1000): TestClock {
  return { atMs, rate: 1, nowMs() { return this.atMs; } };
}

export function temporaryDir(): { dir: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'ledger-test-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** Opens a ledger that fails loudly. */
export function openTestLedger(
  dir: string,
  options: Partial<LedgerOptions> = {},
): Promise<Ledger> {
  const { clock = createClock() } = options;
  // The time that a test lets pass does pass.
  return openLedger({ dir, clock, steadyMs: clock.nowMs.bind(clock), ...options });
}

/** Admits the volunteer and enrols the meter. */
export async function enrolMeter(
  ledger: Ledger,
  meter: TestMeter,
  options: Partial<EnrolmentOptions> = {},
): Promise<void> {
  await ledger.admit(VOLUNTEER.publicKey);
  const [enrolment, sealed] = await enrolmentParts(ledger, meter, options);
  await ledger.enrol(enrolment, sealed);
}

export async function enrolmentParts(
  ledger: Ledger,
  meter: TestMeter,
  options: Partial<EnrolmentOptions> = {},
): Promise<[Uint8Array, Uint8Array]> {
  const { origin, ageRecipient } = ledger.store.keys;
  const body = await enrolmentBody(meter, VOLUNTEER, { origin, ageRecipient, ...options });
  return (decode(body) as Uint8Array[]).map((part) => new Uint8Array(part)) as [
    Uint8Array,
    Uint8Array,
  ];
}

export function policyOf(ledger: Ledger): Policy {
  return parsePolicy(new TextEncoder().encode(formatLogPolicy(ledger.log().vkey)));
}

/** Audits a ledger's public folder as a stranger would. */
export function auditLedger(ledger: Ledger): Promise<AuditReport> {
  return audit(folderFiles(ledger.store.publicDir), { policy: policyOf(ledger) });
}

/** Everything in the projections, row by row. */
export function dumpProjections({ store: { ledgerDb: db } }: Ledger): Record<string, unknown[]> {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  return Object.fromEntries(tables.map(({ name }) => [
    name as string, db.prepare(`SELECT * FROM "${name}" ORDER BY 1, 2`).all(),
  ]));
}
