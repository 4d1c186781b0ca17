// Judges what a node's own software finds amiss with it. What it finds because of where the node
// stands is unknown, not failed: a bench has no public address, and no router that passes ports on.
// Pure.

import type { Complaint } from '../node/yunohost/diagnosis.ts';
import { failed, ok, unknown, type Check } from './finding.ts';

const name = 'diagnosis';
const mostTold = 4;

/** @param complaints undefined: it never looked */
export function judgeDiagnosis(complaints: Complaint[] | undefined): Check {
  if (complaints === undefined) {
    return failed(name, 'it has never looked at itself', 'Run `kit configure`: it has it look.');
  }
  const errors = complaints.filter(({ severity }) => severity === 'error');
  const own = errors.filter(({ ofThePlace }) => !ofThePlace);
  if (own.length > 0) return failed(name, wordsOf(own), adviceOf(own));
  if (errors.length > 0) return unknown(name, wordsOf(errors), adviceOf(errors));
  const warnings = complaints.length;
  return ok(name, warnings === 0 ? 'nothing amiss' : `no error, ${warnings} warnings`);
}

function wordsOf(complaints: Complaint[]): string {
  const words = complaints.map(({ category, summary }) => `${category}: ${summary}`);
  const more = words.length - mostTold;
  return words.slice(0, mostTold).join('; ') + (more > 0 ? `; and ${more} more` : '');
}

function adviceOf(complaints: Complaint[]): string {
  return [...new Set(complaints.map(({ advice }) => advice))].join(' ');
}
