// To be imported before oidc-provider, which wants Node 22: what Node 20 lacks is made up for here, the tests run on it, and so it is loaded
// without the line on stderr that says so at each start and each command.

URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

const { warn } = console;
Reflect.set(console, 'warn', () => undefined);
try {
  require('oidc-provider');
} finally {
  Reflect.set(console, 'warn', warn);
}
