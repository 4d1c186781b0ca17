// A plan as text: for people to read, for `--dry-run` to show exactly what would run, and to be
// compared with yesterday's by diff. Secrets appear as ‹secret›. Pure.

import { secretMark, Secret } from './secret.ts';
import { digestOf, textOf, type FileWrite, type Plan, type Step } from './step.ts';

/** One line a step: what a person wants to know before saying yes. */
export function summarisePlan(plan: Plan): string {
  if (plan.steps.length === 0) return `${plan.kit} (${plan.kind}): nothing to do`;
  const steps = plan.steps.map((step, at) => `  ${at + 1}. ${step.name} (${step.because})`);
  return [`${plan.kit} (${plan.kind}): ${countOf(plan.steps.length)}`, ...steps].join('\n');
}

/** Everything that would be written and run. */
export function printPlan(plan: Plan): string {
  if (plan.steps.length === 0) return summarisePlan(plan);
  const steps = plan.steps.flatMap((step, at) => ['', ...printStep(step, at + 1)]);
  return [`${plan.kit} (${plan.kind}): ${countOf(plan.steps.length)}`, ...steps].join('\n');
}

/** For programs and the record: names and digests, no contents. */
export function outlinePlan(plan: Plan): { name: string; because: string; files: string[] }[] {
  return plan.steps.map(({ name, because, files = [] }) => ({
    name,
    because,
    files: files.map((file) => file.path),
  }));
}

function printStep(step: Step, number: number): string[] {
  return [
    `${number}. ${step.name}`,
    `   because ${step.because}`,
    ...(step.files ?? []).flatMap(printFile),
    ...(step.command ? ['   run', ...indent(step.command)] : []),
    ...(step.input ? ['   with standard input', ...indent(secretMark)] : []),
  ];
}

/** A secret's digest would let a short one be guessed: only its length is told. */
function printFile(file: FileWrite): string[] {
  const head = `   write ${file.path} (${file.mode} ${file.owner}`;
  const sizeBytes = Buffer.byteLength(textOf(file.content));
  if (file.content instanceof Secret) {
    return [`${head}, ${sizeBytes} bytes)`, ...indent(secretMark)];
  }
  const digest = digestOf(file.content).slice(0, 16);
  return [`${head}, ${sizeBytes} bytes, sha256 ${digest}…)`, ...indent(file.content)];
}

function indent(text: string): string[] {
  return text.trimEnd().split('\n').map((line) => `     | ${line}`.trimEnd());
}

function countOf(steps: number): string {
  return steps === 1 ? '1 step' : `${steps} steps`;
}
