import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { freePort } from '../test/support/free-port';
import { startProgram, type ServerProcess } from './processes';

// nginx as a plain proxy: it checks nothing and logs nothing.

/** Starts nginx as one process in front of an upstream, with connections to it that stay open. */
export async function startNginx(folder: string, upstreamUrl: string): Promise<ServerProcess> {
  const port = await freePort();
  const configuration = join(folder, 'nginx.conf');
  writeFileSync(configuration, configurationOf(folder, port, new URL(upstreamUrl).host));
  const logFile = join(folder, 'nginx.log');
  return startProgram([findNginx(), '-e', logFile, '-p', folder, '-c', configuration], `http://127.0.0.1:${port}`, logFile);
}

function findNginx(): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].filter((folder) => folder !== '');
  const program = folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path));
  if (program === undefined) throw new Error('nginx is not installed. Run apt-get install nginx-light, or leave nginx out of --targets.');
  return program;
}

function configurationOf(folder: string, port: number, upstreamHost: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${join(folder, `nginx-${kind}`)};`);
  return `
    daemon off;
    master_process off;
    pid ${join(folder, 'nginx.pid')};
    events { worker_connections 4096; }
    http {
      access_log off;
      keepalive_requests 1000000000;
      ${temporary.join('\n      ')}
      upstream bench {
        server ${upstreamHost};
        keepalive 1024;
        keepalive_requests 1000000000;
      }
      server {
        listen 127.0.0.1:${port} backlog=4096;
        location / {
          proxy_pass http://bench;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
        }
      }
    }
  `;
}
