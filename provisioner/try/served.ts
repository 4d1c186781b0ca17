// What the node really told the meter, seen on the wire between them: the truth that the meter's
// traffic totals are held against. Kept in a file, because a journey may be cut off and go on.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** Traffic since the meter's first contact, bytes. */
export interface Traffic {
  wanInBytes: number;
  wanOutBytes: number;
}

export interface Served {
  /** Takes the whole of what one connection brought; anything but counters is passed over. */
  heard(response: string): void;
  /**
   * The totals after each answer, newest last: at each of its boots the node counts from zero.
   */
  totals(): Traffic[];
}

interface Counters {
  boot: string;
  wan_in_bytes: number;
  wan_out_bytes: number;
}

/** @param path one JSON document a line */
export function openServed(path: string): Served {
  const kept = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  const answers: Counters[] = kept.filter((line) => line !== '').map((line) => JSON.parse(line));
  return {
    heard(response) {
      const counters = countersIn(response);
      if (counters === undefined) return;
      answers.push(counters);
      appendFileSync(path, `${JSON.stringify(counters)}\n`);
    },
    totals: () => sum(answers),
  };
}

/** The counters in an HTTP response, if it is a whole one that bears some. */
export function countersIn(response: string): Counters | undefined {
  const body = /^HTTP\/1\.[01] 200 [\s\S]*?\r\n\r\n(\{[\s\S]*\})\s*$/.exec(response)?.[1];
  if (body === undefined) return undefined;
  const { v, boot, wan_in_bytes, wan_out_bytes } = JSON.parse(body);
  return v === 1 ? { boot, wan_in_bytes, wan_out_bytes } : undefined;
}

function sum(answers: Counters[]): Traffic[] {
  let last: Counters = { boot: '', wan_in_bytes: 0, wan_out_bytes: 0 };
  let total: Traffic = { wanInBytes: 0, wanOutBytes: 0 };
  return answers.map((now) => {
    const from = last.boot === now.boot ? last : { wan_in_bytes: 0, wan_out_bytes: 0 };
    total = {
      wanInBytes: total.wanInBytes + now.wan_in_bytes - from.wan_in_bytes,
      wanOutBytes: total.wanOutBytes + now.wan_out_bytes - from.wan_out_bytes,
    };
    last = now;
    return total;
  });
}
