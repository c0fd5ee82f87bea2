/** What only a server of MySQL or MariaDB has. */
export const onMysql = TEST_DATABASE === 'mysql' ? describe : describe.skip;

/** What only SQLite has. */
export const onSqlite = TEST_DATABASE === 'sqlite' ? describe : describe.skip;
