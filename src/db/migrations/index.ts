import { Foundation1763700000000 as mysqlFoundation } from './mysql/1763700000000-foundation';
import { Foundation1763700000000 as sqliteFoundation } from './sqlite/1763700000000-foundation';

/** In the order in which they are applied. A migration that has landed is never edited; the next one mends it. */
export const migrations = {
  mysql: [mysqlFoundation],
  sqlite: [sqliteFoundation],
};
