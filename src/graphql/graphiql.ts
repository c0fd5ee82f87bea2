import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Asset, takesGzip } from '../lib/asset';
import { ACCESS_SCRIPT, ACCESS_STYLE } from './graphiql-access';
import { EXAMPLES_STYLE, examplesScript } from './graphiql-examples';
import { storageScript } from './graphiql-storage';

// GraphiQL 3 is the last one that comes as a file which a browser can load as it is; later ones want a bundler.

/** What a header editor that nobody has filled in yet shows: the name is there, the secret is to be pasted between the quotes. */
export const DEFAULT_HEADERS_TEXT = `{
  "X-Api-Key": ""
}`;

/**
 * What GraphiQL shows whoever opens it for the first time. It works as it stands once the root key is in the headers.
 * The lines are short, so that an ordinary screen shows them whole.
 */
export const DEFAULT_OPERATION = `# Tollgate's admin API, answered by the server
# that sent you this page.
#
# 1. Paste the operator's root key between the
#    quotes under "Headers", below.
# 2. Press the play button, or Ctrl-Enter
#    (Cmd-Enter on a Mac).
#
# The book on the left explains every type and
# field, the list has examples for every task;
# Ctrl-Space completes a name.
# Headers are never kept in this browser, and
# neither is a tab with a password or a secret.

query Overview {
  __typename

  # Who you are, and what you may do.
  viewer {
    kind
    id
    name
    permissions
  }

  # The newest first; add after: "END_CURSOR" for
  # the next page.
  workspaces(first: 5) {
    nodes {
      id
      name
      slug
      wallet {
        # Micro-credits: 1 USD is 1,000,000.
        balance
      }
      projects(first: 5) {
        nodes {
          id
          name
          budget {
            balance
            held
            available
          }
          keys(first: 3) {
            nodes {
              id
              name
              environment
              status
              hint
              lastUsedAt
            }
          }
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`;

// Runs in the browser. It is a file of its own because the page's policy allows no script inside the page.
const START_SCRIPT = `'use strict';
(function () {
  const blankHeaders = ${JSON.stringify(DEFAULT_HEADERS_TEXT)};

  // GraphiQL finds the tab that was open by comparing these two items with its tabs, and adds one more where none fits.
  // It writes an item before the tab, only while someone types: so each is made the same in both places, the item's text
  // first because it is the newer.
  function restoreOpenTab() {
    const saved = JSON.parse(localStorage.getItem('graphiql:tabState') || 'null');
    const tab = saved && saved.tabs[saved.activeTabIndex];
    if (!tab) return;
    for (const name of ['query', 'variables']) {
      tab[name] = localStorage.getItem('graphiql:' + name) || tab[name];
      if (tab[name]) localStorage.setItem('graphiql:' + name, tab[name]);
    }
    localStorage.setItem('graphiql:tabState', JSON.stringify(saved));
  }
  let newTabHeaders = blankHeaders;
  try {
    restoreOpenTab();
  } catch (error) {
    console.warn('The saved tabs cannot be read and are left to GraphiQL.', error);
  }

  // The page's own address, so that it also works where a proxy serves it under a prefix.
  const socket = (location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + location.pathname;
  const fetcher = GraphiQL.createFetcher({ url: location.pathname, subscriptionUrl: socket, enableIncrementalDelivery: false });
  const root = ReactDOM.createRoot(document.getElementById('graphiql'));
  const plugins = [window.tollgateExamples];

  function show() {
    root.render(
      React.createElement(
        GraphiQL,
        {
          fetcher: fetcher,
          defaultQuery: ${JSON.stringify(DEFAULT_OPERATION)},
          defaultHeaders: newTabHeaders,
          defaultEditorToolsVisibility: 'headers',
          isHeadersEditorEnabled: true,
          shouldPersistHeaders: false,
          storage: window.tollgateStorage,
          showPersistHeadersSettings: false,
          onTabChange: useHeadersInNewTabs,
          plugins: plugins,
        },
        React.createElement(GraphiQL.Logo, null, 'Tollgate'),
      ),
    );
  }

  // A new tab starts with the headers of the one before, or its first query would be refused for want of a key.
  function useHeadersInNewTabs(state) {
    const headers = state.tabs[state.activeTabIndex].headers || blankHeaders;
    if (headers === newTabHeaders) return;
    newTabHeaders = headers;
    show();
  }

  show();
})();
`;

// The two colours are GraphiQL's own, so that the page does not flash white before it starts in the dark.
const PAGE_STYLE = `:root { color-scheme: light dark; }
:root:has(body.graphiql-light) { color-scheme: light; }
:root:has(body.graphiql-dark) { color-scheme: dark; }
html, body, main, #graphiql { height: 100%; margin: 0; }
body { background: hsl(219, 28%, 100%); color: hsl(219, 28%, 32%); font-family: system-ui, sans-serif; }
.notice { margin: 0; padding: 2rem; }
body.graphiql-dark { background: hsl(219, 29%, 18%); color: hsl(219, 29%, 78%); }
@media (prefers-color-scheme: dark) {
  body:not(.graphiql-light) { background: hsl(219, 29%, 18%); color: hsl(219, 29%, 78%); }
}
`;

// A gate, drawn here because a browser that is given no icon asks the server for one.
const ICON = encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#5a4bc4"/>' +
    '<path d="M3 13V4h2v2h8v2H5v5z" fill="#fff"/></svg>',
);

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

let assets: ReadonlyMap<string, Asset> | undefined;
let page: string | undefined;

/** Every file that the page needs, by name; read once in a process. */
function loadAssets(): ReadonlyMap<string, Asset> {
  assets ??= new Map([
    ['graphiql.min.css', new Asset(STYLE, readPackageFile('graphiql', 'graphiql.min.css'))],
    ['page.css', new Asset(STYLE, Buffer.from(PAGE_STYLE + EXAMPLES_STYLE + ACCESS_STYLE))],
    ['react.production.min.js', new Asset(SCRIPT, readPackageFile('react', 'umd/react.production.min.js'))],
    ['react-dom.production.min.js', new Asset(SCRIPT, readPackageFile('react-dom', 'umd/react-dom.production.min.js'))],
    ['graphiql.min.js', new Asset(SCRIPT, readPackageFile('graphiql', 'graphiql.min.js'))],
    ['examples.js', new Asset(SCRIPT, Buffer.from(examplesScript(DEFAULT_OPERATION)))],
    ['access.js', new Asset(SCRIPT, Buffer.from(ACCESS_SCRIPT))],
    ['storage.js', new Asset(SCRIPT, Buffer.from(storageScript(DEFAULT_HEADERS_TEXT)))],
    ['start.js', new Asset(SCRIPT, Buffer.from(START_SCRIPT))],
  ]);
  return assets;
}

/** The packages do not export these files, so they are found beside the package.json, which they do. */
function readPackageFile(packageName: string, path: string): Buffer {
  const text = readFileSync(join(dirname(require.resolve(`${packageName}/package.json`)), path), 'utf8');
  // The source maps are not served, and a browser's developer tools would ask for them.
  return Buffer.from(text.replace(/\/\/# sourceMappingURL=\S*\s*$/, ''));
}

// Nothing but this server's own files: no script inside the page, no other host, no frame around it. Styles inside the
// page are allowed because GraphiQL's dialogs add one to stop the page behind them from scrolling.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  'font-src data:',
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  // The same address answers a program's GET with JSON.
  vary: 'Accept',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
};

/** What a browser that opens `/graphql` is answered: the GraphiQL page, and every header that belongs to it. */
export function graphiqlPage(): { html: string; headers: Record<string, string> } {
  page ??= renderPage(loadAssets());
  return { html: page, headers: { ...PAGE_HEADERS } };
}

function renderPage(files: ReadonlyMap<string, Asset>): string {
  // Relative to /graphql, so that a proxy may serve it all under a prefix. Deferred scripts run in this order.
  const links = [...files].map(([name, { type, version }]) =>
    type === STYLE
      ? `  <link rel="stylesheet" href="graphql/assets/${name}?v=${version}">`
      : `  <script src="graphql/assets/${name}?v=${version}" defer></script>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="robots" content="noindex">
  <title>Tollgate GraphiQL</title>
  <link rel="icon" href="data:image/svg+xml,${ICON}">
${links.join('\n')}
</head>
<body>
  <noscript><p class="notice">GraphiQL needs JavaScript. The API does not: send your queries to this address with POST.</p></noscript>
  <main>
    <h1 class="unseen">Tollgate GraphiQL</h1>
    <div id="graphiql"></div>
  </main>
</body>
</html>
`;
}

/**
 * Serves the page's files under `/graphql/assets/`, from memory and without a credential. They are read here,
 * so that an installation which lacks one fails at the start and not before the first visitor.
 */
export function registerGraphiqlAssets(app: FastifyInstance): void {
  const files = loadAssets();
  app.get<{ Params: { name: string }; Querystring: { v?: string } }>('/graphql/assets/:name', async (request, reply) => {
    const asset = files.get(request.params.name);
    if (!asset) {
      reply.callNotFound();
      return reply;
    }
    const current = request.query.v === asset.version;
    reply.headers({
      // An address with another version, or none, may have other content tomorrow.
      'cache-control': current ? 'public, max-age=31536000, immutable' : 'no-cache',
      etag: `W/"${asset.version}"`,
      vary: 'Accept-Encoding',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    });
    if (request.headers['if-none-match']?.includes(`"${asset.version}"`)) return reply.code(304).send();
    reply.type(asset.type);
    if (!takesGzip(request.headers['accept-encoding'])) return reply.send(asset.body);
    return reply.header('content-encoding', 'gzip').send(await asset.gzipped());
  });
}
