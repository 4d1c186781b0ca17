// What is made once for each database and lives as long as it: preparing a statement costs more
// than running it.

import type { DatabaseSync } from 'node:sqlite';

/** `make`, called at the first asking for a database; later ones get the same. */
export function oncePer<T>(make: (db: DatabaseSync) => T): (db: DatabaseSync) => T {
  const made = new WeakMap<DatabaseSync, T>();
  return (db) => {
    const known = made.get(db) ?? make(db);
    made.set(db, known);
    return known;
  };
}
