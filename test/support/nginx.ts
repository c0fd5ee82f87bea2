import { join } from 'node:path';
import { startServer, type StartedServer } from './web-servers';

/**
 * Starts nginx in front of a server, with its defaults and what `directives` add. Undefined where this machine has no nginx, which is an
 * error with CI or REQUIRE_NGINX=1.
 */
export function startNginx(upstreamUrl: string, directives: string): Promise<StartedServer | undefined> {
  return runNginx((port) => `server { listen 127.0.0.1:${port}; location / { proxy_pass ${upstreamUrl}; ${directives} } }`);
}

/** Starts nginx with the content of its block `http`. */
export function runNginx(http: (port: number) => string): Promise<StartedServer | undefined> {
  return startServer({
    program: 'nginx',
    debianPackage: 'nginx-light',
    file: 'nginx.conf',
    text: (folder, port) => configurationOf(folder, http(port)),
    options: (folder) => ['-e', join(folder, 'error.log'), '-p', folder, '-c', 'nginx.conf'],
  });
}

/** One process, as the user that runs the tests, with all files in one folder. Everything else is as nginx has it by default. */
function configurationOf(folder: string, http: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(folder, name)};`);
  return `
    daemon off;
    master_process off;
    pid ${join(folder, 'nginx.pid')};
    events {}
    http {
      access_log off;
      ${temporary.join(' ')}
      ${http}
    }
  `;
}
