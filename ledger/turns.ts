// Work that must not overlap, one piece after the other, in the order in which it was asked for.

/** Runs `work` when all before it has ended, however it ended. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

export function createTurns(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    // Whoever asked hears of a failure; the next one's turn comes all the same.
    last = mine.catch(() => {});
    return mine;
  };
}
