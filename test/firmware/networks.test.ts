// Which Wi-Fi network is named, and how seldom another is.
import test from 'ava';
import { Networks, type Network } from '../../firmware/networks.ts';

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const [home, guest, barn] = ['Home', 'Guest', 'Barn'].map((ssid) => ({ ssid, passphrase: `of ${ssid}` }));

/** A home in which those networks can be joined, looked at once a minute. */
function scene(known: Network[], named: string) {
  const state = { there: ['Home'], named, joins: [] as string[], atMinutes: [] as number[], nowMs: 0 };
  const networks = new Networks({
    ownAddress: async () => (state.there.includes(state.named) ? Buffer.of(10, 0, 0, 2) : null),
    named: async () => state.named,
    async join({ ssid, passphrase }) {
      state.joins.push(passphrase);
      state.atMinutes.push(state.nowMs / MINUTE_MS);
      state.named = ssid;
    },
    millis: () => state.nowMs,
  }, known);
  const minutes = async (count: number): Promise<number[]> => {
    const found = [];
    for (let i = 0; i < count; i++) {
      found.push(await networks.look());
      state.nowMs += MINUTE_MS;
    }
    return found.filter((number) => number > 0);
  };
  return { state, minutes };
}

test('while it is connected, or for ten minutes without, the settings stay as they are', async (t) => {
  const { state, minutes } = scene([home, guest], 'Home');
  await minutes(DAY_MINUTES);
  state.there = [];
  await minutes(10);
  state.there = ['Home'];
  await minutes(60);
  t.deepEqual(state.joins, []);
});

test('the next in turn is named, until one is there', async (t) => {
  const { state, minutes } = scene([home, guest, barn], 'Home');
  state.there = ['Barn'];
  t.deepEqual(await minutes(60), [2, 3]);
  t.deepEqual(state.joins, ['of Guest', 'of Barn']);
  state.there = ['Home'];
  t.deepEqual(await minutes(60), [1]);
  t.is(state.named, 'Home');
});

test('without any network: a dozen changes on the first days, then one a day', async (t) => {
  const { state, minutes } = scene([home, guest], 'Home');
  state.there = [];
  await minutes(30 * DAY_MINUTES);
  t.deepEqual(state.atMinutes.slice(0, 4), [10, 30, 70, 150]);
  const gaps = state.atMinutes.slice(1).map((at, i) => at - state.atMinutes[i]);
  t.true(state.joins.length < 40, `${state.joins.length}`);
  t.is(gaps.at(-1), DAY_MINUTES);
});

test('a network that the bench never wrote is left for the first; one alone is never changed', async (t) => {
  const strange = scene([home, guest], 'Bench');
  await strange.minutes(12);
  t.deepEqual(strange.state.joins, ['of Home']);
  const alone = scene([home], 'Home');
  alone.state.there = [];
  await alone.minutes(DAY_MINUTES);
  t.deepEqual(alone.state.joins, []);
});
