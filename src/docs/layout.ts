import { createHash } from 'node:crypto';
import { Html, html } from '../lib/html';
import { PAGES, type PageName } from './names';

const STYLE = `
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --quiet: #57606a; --paper: #fff; --ground: #f6f7f9; --line: #d0d7de; --accent: #0550ae; --code: #eef1f4; --wrong: #a40e26;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --quiet: #9da7b1; --paper: #0d1117; --ground: #161b22; --line: #30363d;
    --accent: #79c0ff; --code: #1d2430; --wrong: #ffa198;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif;
  display: grid; grid-template-columns: 14rem minmax(0, 1fr); min-height: 100vh;
}
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--paper); z-index: 1; }
header { background: var(--ground); border-right: 1px solid var(--line); padding: 1.5rem 1rem; }
header > div { position: sticky; top: 1.5rem; }
header strong { font-size: 1.125rem; display: block; margin: 0 .75rem 1rem; }
header ul { list-style: none; margin: 0 0 1rem; padding: 0; }
header a { display: block; padding: .3rem .75rem; border-radius: .375rem; color: var(--ink); text-decoration: none; }
header a:hover { background: var(--code); }
header a[aria-current] { background: var(--accent); color: var(--paper); font-weight: 600; }
main { padding: 2rem 2.5rem 6rem; max-width: 72rem; }
h1 { margin: 0 0 1rem; font-size: 1.875rem; line-height: 1.25; }
h2 {
  margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: 1.375rem; line-height: 1.3; overflow-wrap: anywhere;
}
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; }
p { margin: 0 0 .75rem; max-width: 48rem; overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: .15em; }
code {
  font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  background: var(--code); padding: .1em .3em; border-radius: .25rem;
}
pre { margin: 0 0 1rem; padding: 1rem; background: var(--code); border-radius: .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
pre code { background: none; padding: 0; font-size: .875rem; }
table { width: 100%; border-collapse: collapse; margin: 0 0 1rem; font-size: .9375rem; }
th, td {
  text-align: left; vertical-align: top; padding: .5rem .75rem .5rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word;
}
thead th { color: var(--quiet); font-size: .8125rem; }
tbody th { font-weight: 400; min-width: 8rem; }
td p:last-child { margin: 0; }
tr:target, section:has(> :target) > h2 { background: var(--code); }
dl { margin: .5rem 0 0; font-size: .875rem; }
dd { margin: 0 0 .25rem 1rem; color: var(--quiet); }
.contents ul, .names { columns: 14rem; list-style: none; margin: 0; padding: 0; }
.contents a, .names a { overflow-wrap: anywhere; }
.users, .quiet { color: var(--quiet); font-size: .875rem; }
.deprecated { color: var(--wrong); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (max-width: 60rem) {
  body { display: block; }
  header { border-right: 0; border-bottom: 1px solid var(--line); }
  header > div { position: static; }
  header ul { display: flex; flex-wrap: wrap; }
  main { padding: 1.5rem 1rem 4rem; }
  table, thead, tbody, tr, th, td { display: block; }
  thead { position: absolute; left: -999rem; }
  th, td { border: 0; padding: .125rem 0; overflow-wrap: anywhere; }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
}
`;

/** The Content-Security-Policy: no scripts, no other hosts, no frames around the page. Allows the one style by its hash. */
export const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

const LOGO =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#5a4bc4"/>' +
  '<path d="M3 13V4h2v2h8v2H5v5z" fill="#fff"/></svg>';

// Without an icon in the page, a browser requests one from the server.
const ICON = `data:image/svg+xml,${encodeURIComponent(LOGO)}`;

/** Renders a page of the manual. All links are relative, so the page works behind a proxy's prefix and from a folder. */
export function layout(name: PageName, pages: PageName[], content: Html): string {
  const title = PAGES[name];
  const links = pages.map(
    (page) => html`<li><a href="${page}"${new Html(page === name ? ' aria-current="page"' : '')}>${PAGES[page]}</a></li>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Tollgate</title>
<link rel="icon" href="${ICON}">
<style>${new Html(STYLE)}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header><div>
<strong>Tollgate</strong>
<nav aria-label="Manual">
<ul>
${links}</ul>
<ul>
<li><a href="../graphql">GraphiQL</a></li>
<li><a href="../openapi.json">openapi.json</a></li>
</ul>
</nav>
</div></header>
<main id="content">
<h1>${title}</h1>
${content}</main>
</body>
</html>
`.text;
}
