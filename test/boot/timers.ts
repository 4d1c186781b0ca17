// What a node's timers write to its drive: each is started once, and what the kernel counts then is
// multiplied by how often systemd says that its time comes. Without a network, apt finds no mirror:
// its lists are not in it.

import type { Ask } from './idle.ts';

export interface TimerWrites {
  timer: string;
  writtenBytes: number;
  /** 0: once a boot. */
  timesPerDay: number;
  /** As systemd tells it: `success`, or why the work ended otherwise. */
  result: string;
}

/**
 * @param writtenBytes what the kernel counts so far, after all has been synced
 */
export async function measureTimers(
  ask: Ask,
  writtenBytes: () => Promise<number>,
): Promise<TimerWrites[]> {
  const list = "systemctl list-units --type=timer --plain --no-legend | awk '{ print $1 }'";
  const measured: TimerWrites[] = [];
  for (const timer of (await ask(list)).split('\n')) {
    const shown = await ask(`systemctl show ${timer} -p Unit -p TimersCalendar -p TimersMonotonic`);
    const unit = /^Unit=(.*)$/m.exec(shown)![1];
    const timesPerDay = await frequency(ask, shown);
    const before = await writtenBytes();
    await ask(`timeout 280 systemctl start ${unit} || true`);
    const result = await ask(`systemctl show ${unit} -p Result --value`);
    measured.push({ timer, writtenBytes: (await writtenBytes()) - before, timesPerDay, result });
  }
  return measured.toSorted((a, b) => perDay(b) - perDay(a));
}

export function perDay({ writtenBytes, timesPerDay }: TimerWrites): number {
  return writtenBytes * timesPerDay;
}

/** From lines such as `TimersCalendar={ OnCalendar=*-*-* 06,18:00:00 ; next_elapse=… }`. */
async function frequency(ask: Ask, shown: string): Promise<number> {
  let timesPerDay = 0;
  for (const [, when] of shown.matchAll(/OnCalendar=(.*?) ;/g)) {
    const told = await ask(`TZ=UTC systemd-analyze calendar --iterations=32 '${when}'`);
    const timesMs = [...told.matchAll(/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/g)]
      .map(([, day, time]) => Date.parse(`${day}T${time}Z`))
      .sort((a, b) => a - b);
    const spanMs = timesMs.at(-1)! - timesMs[0]!;
    timesPerDay += ((timesMs.length - 1) / spanMs) * DAY_MS;
  }
  for (const [, span] of shown.matchAll(/OnUnit(?:Active|Inactive)USec=(.*?) ;/g)) {
    const told = await ask(`systemd-analyze timespan '${span}'`);
    timesPerDay += DAY_MS / (Number(/s: (\d+)/.exec(told)![1]) / 1000);
  }
  return timesPerDay;
}

const DAY_MS = 86_400_000;
