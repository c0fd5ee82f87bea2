import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Asset, takesGzip } from '../lib/asset';
import { ACCESS_SCRIPT, ACCESS_STYLE } from './graphiql-access';
import { EXAMPLES_STYLE, examplesScript } from './graphiql-examples';
import { storageScript } from './graphiql-storage';

// GraphiQL 3 is the last version with a file that a browser can load directly. Later versions need a bundler.

/** The initial text of the header editor. A caller with a secret pastes it between the quotes. */
export const DEFAULT_HEADERS_TEXT = `{
  "X-Api-Key": ""
}`;

/**
 * The initial operation in GraphiQL. It runs without changes for a person who has signed in, and with a secret in the headers.
 * The lines are short, so that they fit an ordinary screen.
 */
export const DEFAULT_OPERATION = `# Welcome to the admin API of this server.
#
# To run this query, press the play button or
# Ctrl-Enter (Cmd-Enter on a Mac).
#
# Have you signed in? Leave "Headers" unchanged.
# To sign in, open "Examples" on the left, and
# in "People" choose "Return".
# Do you use a secret? Paste it between the
# quotes under "Headers", below.
#
# The book on the left opens the documentation.
# Ctrl-Space completes a name.
# This browser never stores headers, nor tabs
# with a password or a secret.

query Overview {
  __typename

  # Who you are, and what you may do.
  viewer { kind id name permissions }

  # The newest first. For the next page, add
  # after: "END_CURSOR".
  workspaces(first: 5) {
    nodes {
      id
      name
      # In micro-credits: 1,000,000 are 1 USD.
      wallet { balance }
      projects(first: 5) {
        nodes { id name budget { available } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`;

// Runs in the browser. Served as a separate file, because the policy of the page forbids inline scripts.
const START_SCRIPT = `'use strict';
(function () {
  const blankHeaders = ${JSON.stringify(DEFAULT_HEADERS_TEXT)};

  // GraphiQL finds the open tab by comparing these two items with its tabs, and adds a tab if none is equal.
  // It stores the items before the tab. So this makes both equal, and prefers the text of the item, which is newer.
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
    console.warn('The stored tabs are unreadable. GraphiQL decides what to show.', error);
  }

  // Uses the address of the page, so that it also works if a proxy serves it under a prefix.
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

  // A new tab copies the headers of the current tab. Otherwise its first query would be refused, because it lacks the secret.
  function useHeadersInNewTabs(state) {
    const headers = state.tabs[state.activeTabIndex].headers || blankHeaders;
    if (headers === newTabHeaders) return;
    newTabHeaders = headers;
    show();
  }

  show();
})();
`;

// Uses the background colours of GraphiQL, so that the page does not flash white before the dark theme starts.
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

// A gate. It is inline, because a browser requests an icon from the server if the page has none.
const ICON = encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#5a4bc4"/>' +
    '<path d="M3 13V4h2v2h8v2H5v5z" fill="#fff"/></svg>',
);

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

let assets: ReadonlyMap<string, Asset> | undefined;
let page: string | undefined;

/** All files of the page by name. Reads them once per process. */
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

/** Finds a file next to the package.json, because the packages export only that. */
function readPackageFile(packageName: string, path: string): Buffer {
  const text = readFileSync(join(dirname(require.resolve(`${packageName}/package.json`)), path), 'utf8');
  // Removes the link to the source map, which is not served: the developer tools of browsers would request it.
  return Buffer.from(text.replace(/\/\/# sourceMappingURL=\S*\s*$/, ''));
}

// Allows only files of this server. Forbids inline scripts, other hosts and frames around the page. Allows inline styles, because the
// dialogs of GraphiQL add one to stop the page behind them from scrolling.
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
  // The same address answers GET requests of programs with JSON.
  vary: 'Accept',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
};

/** The GraphiQL page and its headers, for a browser that opens `/graphql`. */
export function graphiqlPage(): { html: string; headers: Record<string, string> } {
  page ??= renderPage(loadAssets());
  return { html: page, headers: { ...PAGE_HEADERS } };
}

function renderPage(files: ReadonlyMap<string, Asset>): string {
  // Links are relative to /graphql, so that a proxy can serve the page under a prefix. Deferred scripts run in this order.
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
  <noscript><p class="notice">GraphiQL needs JavaScript. Enable it, or send your queries to this address with POST.</p></noscript>
  <main>
    <h1 class="unseen">Tollgate GraphiQL</h1>
    <div id="graphiql"></div>
  </main>
</body>
</html>
`;
}

/**
 * Serves the files of the page under `/graphql/assets/`, from memory and without a credential. Reads them at once, so that an
 * installation without one of them fails at startup.
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
      // Only an address with the current version may be cached for ever: without it, the content may change.
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
