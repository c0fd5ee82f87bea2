import { join } from 'node:path';
import { startServer, type StartedServer } from './web-servers';

/** Starts Caddy with a Caddyfile. Undefined where this machine has no Caddy, which is an error with CI or REQUIRE_CADDY=1. */
export function runCaddy(caddyfile: (port: number) => string): Promise<StartedServer | undefined> {
  return startServer({
    program: 'caddy',
    debianPackage: 'caddy',
    file: 'Caddyfile',
    text: (_folder, port) => `{\n\tadmin off\n}\n${caddyfile(port)}`,
    options: (folder) => ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'],
  });
}
