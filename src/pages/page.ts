import { createHash } from 'node:crypto';
import { Html, html } from '../lib/html';

const STYLE = `
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --quiet: #57606a; --paper: #fff; --ground: #f3f4f6;
  --line: #8c959f; --accent: #0550ae; --wrong: #a40e26; --wrong-ground: #ffebe9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --quiet: #9da7b1; --paper: #161b22; --ground: #0d1117;
    --line: #6e7681; --accent: #79c0ff; --wrong: #ffa198; --wrong-ground: #3d1318;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--paper); border-radius: .75rem; box-shadow: 0 1px 3px #0003; }
h1 { margin: 0 0 .5rem; font-size: 1.375rem; line-height: 1.3; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; color: var(--quiet); overflow-wrap: anywhere; }
label { display: block; font-weight: 600; }
h2 { margin: 1rem 0 .25rem; font-size: 1rem; }
ul { margin: 0 0 1rem; padding-left: 1.25rem; }
code { overflow-wrap: anywhere; }
input, select {
  width: 100%; margin: .25rem 0; padding: .625rem .75rem; font: inherit;
  color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .375rem;
}
small { display: block; margin-bottom: 1rem; color: var(--quiet); }
button {
  width: 100%; margin-top: .5rem; padding: .75rem; font: inherit; font-weight: 600;
  color: var(--paper); background: var(--accent); border: 0; border-radius: .375rem; cursor: pointer;
}
button.other { color: var(--accent); background: transparent; border: 1px solid var(--line); }
select option { color: #1b1f24; background: #fff; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); }
.alert { padding: .75rem 1rem; color: var(--wrong); background: var(--wrong-ground); border-radius: .375rem; }
`;

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** Forbids scripts, content of other hosts, and frames. Allows one style, by its hash. */
function policy(...more: string[]): string {
  return ["default-src 'none'", `style-src 'sha256-${STYLE_HASH}'`, ...more, "frame-ancestors 'none'", "base-uri 'none'"].join('; ');
}

/**
 * Headers of every page. The URL of a page holds a secret, so the referrer policy keeps it from other hosts. It is not `no-referrer`,
 * because then browsers would send `Origin: null` with forms, and the origin of a form could not be checked.
 */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': policy("form-action 'self'"),
  'x-frame-options': 'DENY',
  'referrer-policy': 'same-origin',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
};

/**
 * Headers of a page with a form that redirects to an application. They have no `form-action`, because browsers apply it to every redirect
 * after the form, and the application may redirect further to an unknown site. Nor can `form-action` name an IPv6 address.
 */
export const HEADERS_LEADING_AWAY = { ...PAGE_HEADERS, 'content-security-policy': policy() };

/** Writes a whole page with one heading. */
export function page(title: string, ...content: Html[]): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Tollgate</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`.text;
}
