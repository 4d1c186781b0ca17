// What one check found, and the ways to say it. Pure.

import { KitError } from '../errors.ts';

export type CheckState = 'ok' | 'failed' | 'unknown';

export interface Check {
  /** Kebab-case and stable: scripts may match it. */
  name: string;
  state: CheckState;
  /** Only what was seen to be right is ok: `unknown` is not. */
  ok: boolean;
  /** What was seen, in words with units. */
  measured: string;
  /** What to do about it; empty when it is ok. */
  advice: string;
}

export const ok = (name: string, measured: string): Check =>
  ({ name, state: 'ok', ok: true, measured, advice: '' });

export const failed = (name: string, measured: string, advice: string): Check =>
  ({ name, state: 'failed', ok: false, measured, advice });

export const unknown = (name: string, measured: string, advice: string): Check =>
  ({ name, state: 'unknown', ok: false, measured, advice });

/** What to do about an error: always the same, or by what it was. */
export type Advice = string | ((error: unknown) => string);

/** Runs one check: whatever it throws is its failure. */
export async function attempt(
  name: string,
  advice: Advice,
  check: () => Promise<Check>,
): Promise<Check> {
  try {
    return await check();
  } catch (error) {
    const other = typeof advice === 'string' ? advice : advice(error);
    return failed(name, reasonOf(error), nameAdvice(error) ?? other);
  }
}

/** What to do where no name server knew a name: whatever was asked for was not asked at all. */
function nameAdvice(error: unknown): string | undefined {
  const { code, hostname } = error as NodeJS.ErrnoException & { hostname?: string };
  if (code !== 'ENOTFOUND' && code !== 'EAI_AGAIN') return undefined;
  return `The bench finds no ${hostname}: for a node, set \`address\` in campaign.toml.`;
}

export function reasonOf(error: unknown): string {
  if (error instanceof KitError && error.got !== undefined) return `${error.message}: ${error.got}`;
  return error instanceof Error ? error.message : String(error);
}
