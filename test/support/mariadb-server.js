// @ts-check
// Temporary MariaDB or MySQL servers: one for the tests and for `npm run check`, and more for tests that kill a server.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} = require('node:fs');
const { tmpdir } = require('node:os');
const { delimiter, join } = require('node:path');
const { setTimeout: wait } = require('node:timers/promises');
const { freePort } = require('./free-port');
const { createConnection } = require('mysql2/promise');

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 25;
const PORT_TRIES = 3;
const USER = 'tollgate';
const PASSWORD = 'tollgate';

/** Folders to search, because database servers are often not in the PATH of an ordinary user. */
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/local/bin'].filter(
  (folder) => folder !== '',
);

/**
 * A temporary server.
 * @typedef {object} MariadbServer
 * @property {(database?: string) => string} url `mysql://user:password@host:port`, with `/database` if it is given
 * @property {number} pid
 * @property {number} port
 * @property {string} dataDir pass it to startMariadb, with the port, to restart a killed server
 * @property {(signal: NodeJS.Signals) => Promise<void>} kill sends the signal; after SIGKILL or SIGTERM waits until the process has ended
 * @property {() => Promise<void>} stop kills the process, and removes the folder unless the caller gave it; may be repeated
 */

/** Functions that end the running servers, by pid, so that no server outlives this process. @type {Map<number, () => void>} */
const running = new Map();

/** The path of a server's program, or undefined if none is installed. */
function findMariadb() {
  return findProgram('mariadbd', 'mysqld');
}

/**
 * Starts a server that listens only on 127.0.0.1. Resolves when it accepts connections. Without `dataDir` it uses a temporary folder, which
 * `stop` removes. Without `port` it uses a free port. `args` are additional options of the server's command line.
 * @param {{ port?: number, dataDir?: string, args?: string[] }} [options]
 * @returns {Promise<MariadbServer>}
 */
async function startMariadb({ port, dataDir, args = [] } = {}) {
  const program = findMariadb();
  if (!program) throw new Error('Neither mariadbd nor mysqld is installed: apt-get install mariadb-server, or set TEST_MYSQL_URL.');
  guardAgainstLeftovers();
  const folder = realpathSync(dataDir ?? mkdtempSync(join(tmpdir(), 'tollgate-mariadb-')));
  const discard = () => (dataDir ? undefined : rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  try {
    if (!existsSync(join(folder, 'mysql'))) initialise(program, folder);
    const { child, port: taken } = await listen(program, folder, port, args);
    return handle(child, folder, taken, discard);
  } catch (error) {
    discard();
    throw error;
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {string} dataDir
 * @param {number} port
 * @param {() => void} discard
 * @returns {MariadbServer}
 */
function handle(child, dataDir, port, discard) {
  const pid = /** @type {number} */ (child.pid);
  const gone = hasEnded(child) ? Promise.resolve() : once(child, 'exit');
  running.set(pid, () => {
    child.kill('SIGKILL');
    discard();
  });
  child.once('exit', () => running.delete(pid));
  /** @param {NodeJS.Signals} signal */
  const kill = async (signal) => {
    if (!hasEnded(child)) child.kill(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await gone;
  };
  return {
    url: (database) => urlOf(port, database),
    pid,
    port,
    dataDir,
    kill,
    stop: async () => {
      await kill('SIGKILL'); // its data is not needed any more; SIGTERM would wait for clients, and for ever if it is frozen
      discard();
    },
  };
}

/**
 * Starts the server. If another process takes the free port first, tries another port, unless the caller asked for this one.
 * @param {string} program
 * @param {string} folder
 * @param {number | undefined} wanted
 * @param {string[]} options
 */
async function listen(program, folder, wanted, options) {
  for (let tries = 1; ; tries++) {
    const port = wanted ?? (await freePort());
    const child = launch(program, folder, port, options);
    try {
      await untilItAnswers(child, port, folder);
      return { child, port };
    } catch (error) {
      child.kill('SIGKILL');
      if (wanted !== undefined || tries === PORT_TRIES || !/address already in use/i.test(String(error))) throw error;
    }
  }
}

/** Creates the user of the URLs. The server runs it when it starts, because MariaDB and MySQL differ in the rights of root over TCP. */
const INIT_SQL = ['localhost', '127.0.0.1']
  .flatMap((host) => [
    `CREATE USER IF NOT EXISTS '${USER}'@'${host}' IDENTIFIED BY '${PASSWORD}';`,
    `GRANT ALL PRIVILEGES ON *.* TO '${USER}'@'${host}' WITH GRANT OPTION;`,
  ])
  .join('\n');

/**
 * @param {string} program
 * @param {string} folder
 * @param {number} port
 * @param {string[]} options
 */
function launch(program, folder, port, options) {
  const initFile = join(folder, 'init.sql');
  writeFileSync(initFile, `${INIT_SQL}\n`);
  const log = openSync(join(folder, 'server.log'), 'w');
  const temporary = join(folder, '.tmp'); // a server that starts removes the temporary tables of all others in its tmpdir
  mkdirSync(temporary, { recursive: true });
  const [command, ...args] = boundToThisProcess([
    program,
    '--no-defaults', // ignores the configuration of this machine's own server
    `--datadir=${folder}`,
    `--tmpdir=${temporary}`,
    `--socket=${join(folder, 'server.sock')}`,
    `--pid-file=${join(folder, 'server.pid')}`,
    `--init-file=${initFile}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--skip-name-resolve',
    '--skip-log-bin',
    '--max-connections=300',
    '--innodb-buffer-pool-size=64M',
    '--innodb-flush-log-at-trx-commit=1', // needed for the promise of durability
    '--loose-mysqlx=OFF',
    ...options,
    ...asRoot(),
  ]);
  const child = spawn(/** @type {string} */ (command), args, { stdio: ['ignore', log, log] });
  closeSync(log);
  return child;
}

/**
 * On Linux lets the kernel end the server together with the process that started it, because no handler runs after a SIGKILL.
 * @param {string[]} command
 */
function boundToThisProcess(command) {
  const setpriv = process.platform === 'linux' ? findProgram('setpriv') : undefined;
  return setpriv ? [setpriv, '--pdeathsig', 'KILL', ...command] : command;
}

/**
 * @param {string} program
 * @param {string} folder
 */
function initialise(program, folder) {
  const isMariadb = run(program, ['--no-defaults', '--version']).includes('MariaDB');
  if (!isMariadb) {
    run(program, ['--no-defaults', '--initialize-insecure', `--datadir=${folder}`, ...asRoot()]);
    return;
  }
  const installer = findProgram('mariadb-install-db', 'mysql_install_db');
  if (!installer)
    throw new Error(`${program} is installed, but mariadb-install-db is not. Install the complete server package of MariaDB.`);
  run(installer, ['--no-defaults', `--datadir=${folder}`, '--auth-root-authentication-method=normal', '--skip-test-db', ...asRoot()]);
}

/** The option that a server needs to run as root. */
function asRoot() {
  return process.getuid?.() === 0 ? ['--user=root'] : [];
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {number} port
 * @param {string} folder
 */
async function untilItAnswers(child, port, folder) {
  for (const deadline = Date.now() + START_TIMEOUT_MS; ; await wait(POLL_MS)) {
    try {
      const connection = await createConnection({ uri: urlOf(port), connectTimeout: 1_000 });
      const [rows] = await connection.query('SELECT @@datadir AS folder').finally(() => connection.end());
      // Compares the folder, because another server may listen on this port
      if (/** @type {{ folder: string }[]} */ (rows)[0]?.folder.replace(/\/$/, '') === folder) return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`The database server did not answer in time.\n${logOf(folder)}`, { cause: error });
    }
    if (hasEnded(child)) throw new Error(`The database server ended while it started.\n${logOf(folder)}`);
  }
}

/** @param {import('node:child_process').ChildProcess} child */
function hasEnded(child) {
  return child.exitCode !== null || child.signalCode !== null;
}

/** @param {string} folder */
function logOf(folder) {
  return readFileSync(join(folder, 'server.log'), 'utf8').split('\n').slice(-20).join('\n');
}

/**
 * @param {number} port
 * @param {string} [database]
 */
function urlOf(port, database) {
  return `mysql://${USER}:${PASSWORD}@127.0.0.1:${port}${database ? `/${database}` : ''}`;
}

/** @param {string[]} names */
function findProgram(...names) {
  return names.flatMap((name) => FOLDERS.map((folder) => join(folder, name))).find(isExecutable);
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {string} program
 * @param {string[]} args
 */
function run(program, args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} failed: ${error?.message ?? ''}\n${stdout}\n${stderr}`);
  return stdout;
}

/** Ends all running servers. For a process that ends without having stopped them. */
function endAll() {
  for (const end of running.values()) end();
  running.clear();
}

let guarded = false;

function guardAgainstLeftovers() {
  if (guarded) return;
  guarded = true;
  process.once('exit', endAll);
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.once(signal, () => {
      endAll();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal); // the default effect of the signal without this handler
    });
  }
}

module.exports = { findMariadb, startMariadb };
