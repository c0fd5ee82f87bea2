import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { until } from './until';

/** An nginx that passes everything on to a server. It is stopped when the test file has ended. */
export interface Nginx {
  url: string;
}

/**
 * Starts nginx in front of a server, with its defaults and what `directives` add. Undefined where this machine has no nginx, which is an
 * error with CI or REQUIRE_NGINX=1.
 */
export async function startNginx(upstreamUrl: string, directives: string): Promise<Nginx | undefined> {
  const program = findNginx();
  if (!program) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-nginx-'));
  const port = await freePort();
  await writeFile(join(folder, 'nginx.conf'), configurationOf(folder, port, upstreamUrl, directives));
  const child = spawn(program, ['-e', join(folder, 'error.log'), '-p', folder, '-c', 'nginx.conf'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const url = `http://127.0.0.1:${port}`;
  await until(() => fetch(`${url}/healthz`).then(({ ok }) => ok, () => false), 'nginx to listen');
  return { url };
}

function findNginx(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].filter((folder) => folder !== '');
  const program = folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path));
  if (program) return program;
  const missing = 'No nginx: apt-get install nginx-light.';
  if (process.env.REQUIRE_NGINX === '1' || process.env.CI) throw new Error(missing);
  process.stderr.write(`\nSKIPPED, NOT TESTED: ${missing}\n`);
  return undefined;
}

/** One process, as the user that runs the tests, with all files in one folder. Everything else is as nginx has it by default. */
function configurationOf(folder: string, port: number, upstreamUrl: string, directives: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(folder, name)};`);
  return `
    daemon off;
    master_process off;
    pid ${join(folder, 'nginx.pid')};
    events {}
    http {
      access_log off;
      ${temporary.join(' ')}
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass ${upstreamUrl};
          ${directives}
        }
      }
    }
  `;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
