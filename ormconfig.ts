import 'reflect-metadata';
import { loadConfig } from './src/config';
import { mysqlDataSource, sqliteDataSource } from './src/db/data-source';
import { migrations } from './src/db/migrations';
import { mysqlProduct } from './src/db/mysql-session';
import { entities } from './src/entities';

const { database } = loadConfig();
const parts = { entities, migrations };

/** For TypeORM's command line, such as `npx typeorm migration:show -d dist/ormconfig.js`. */
export default database.type === 'mysql'
  ? mysqlProduct(database).then((product) => mysqlDataSource(database, parts, product))
  : Promise.resolve(sqliteDataSource(database, parts, 'writer'));
