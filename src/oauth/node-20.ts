// Import this before oidc-provider, which is made for Node 22. Adds the function that Node 20 lacks, and loads oidc-provider without its
// warning about the Node version: otherwise every start and command would print it. The tests run on Node 20.

URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

const { warn } = console;
Reflect.set(console, 'warn', () => undefined);
try {
  require('oidc-provider');
} finally {
  Reflect.set(console, 'warn', warn);
}
