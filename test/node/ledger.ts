// A real ledger on the bench's machine, and a meter that reports to it through the node, as one at
// home would: by the node's relay. The ledger stands behind a door that keeps its address while
// what is behind it dies, comes back, or is another ledger. The meter's readings are made here.

import { Agent } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';

import type { IntervalRecord } from '../../firmware/wire.ts';
import { enrolmentParts, openTestLedger, VOLUNTEER } from '../helpers/ledger-folder.ts';
import { createMeter } from '../helpers/meter.ts';
import { postBatch, serveFolder, type Served } from '../helpers/served-ledger.ts';

export interface WatchedLedger {
  /** What stands of it in campaign.toml. */
  campaign: { ledger: string; origin: string; key: string };
  /** What the bench records of the pairing. */
  paired: { meter: string; entry: number };
  /** The meter's next readings, through the node at `address`; `change` says what it saw. */
  report(address: string, change?: (seen: IntervalRecord) => IntervalRecord): Promise<void>;
  /** Its meter reported three hours ago, and not since; from now on the ledger answers. */
  fallsSilent(): Promise<void>;
  goes(): Promise<void>;
  /** Another ledger answers at its address. */
  isReplaced(): Promise<void>;
  comes(): Promise<void>;
  end(): Promise<void>;
}

export const intervalS = 180;
/** A ledger calls eight intervals of a quarter of an hour a silence. */
const silentForS = 3 * 3600;
/** Readings that came before the silence. */
const heard = 4;
/** So old is the newest reading after the silence: those that follow at once must not lie ahead. */
const behindS = 8 * intervalS;

/** Nobody answers yet. @param diskUsedBytes of the node, as its counters would tell the meter */
export async function startLedger(dir: string, diskUsedBytes: () => number): Promise<WatchedLedger> {
  const [ours, others] = [join(dir, 'ledger'), join(dir, 'another-ledger')];
  const startS = Math.floor(Date.now() / 1000) - silentForS - behindS - heard * intervalS;
  const meter = createMeter('faults', { startS, intervalS });
  const clock = { nowMs: () => Date.now() - silentForS * 1000, rate: 1 };
  const origin = 'ledger.test/commons';
  const ledger = await openTestLedger(ours, { origin, clock });
  await ledger.admit(VOLUNTEER.publicKey);
  const { index: entry } = await ledger.enrol(...(await enrolmentParts(ledger, meter)));
  const key = ledger.log().vkey;
  await ledger.close();
  await (await openTestLedger(others, { origin: 'another.test/commons' })).close();

  let served: Served | undefined;
  const door = createServer((socket) => {
    if (served === undefined) return void socket.destroy();
    const inner = connect(Number(new URL(served.url).port), '127.0.0.1');
    socket.pipe(inner).pipe(socket);
    for (const end of [socket, inner]) end.on('error', () => (socket.destroy(), inner.destroy()));
  }).listen(0);
  await once(door, 'listening');
  const { port } = door.address() as AddressInfo;
  const readings = (count: number, change: (seen: IntervalRecord) => IntervalRecord) =>
    meter.batch(meter.records(count, (record) =>
      change({ ...record, diskUsedBytes: diskUsedBytes() })));
  const serve = async (folder: string | undefined): Promise<void> => {
    await served?.stop();
    served = folder === undefined ? undefined : await serveFolder(folder);
  };
  let caughtUp = false;
  return {
    campaign: { ledger: `http://10.77.0.1:${port}`, origin, key },
    paired: { meter: meter.idHex, entry },
    async report(address, change = (seen) => seen) {
      const count = caughtUp ? 1 : silentForS / intervalS;
      const agent = new Agent();
      const answer = await postBatch(`http://${address}/commons/`, agent, readings(count, change));
      agent.destroy();
      if (answer?.status !== 200) throw new Error(`the ledger did not take a batch: ${answer?.status}`);
      caughtUp = true;
    },
    async fallsSilent() {
      const before = await openTestLedger(ours, { clock });
      await before.submitBatch(readings(heard, (seen) => seen));
      await before.close();
      await serve(ours);
    },
    goes: () => serve(undefined),
    isReplaced: () => serve(others),
    comes: () => serve(ours),
    async end() {
      await serve(undefined);
      door.close();
    },
  };
}
