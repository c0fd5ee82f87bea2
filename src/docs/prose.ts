import { Html, html } from '../lib/html';
import type { Names } from './names';

const MARKS = /`([^`]+)`|\[([^\]]+)\]\((https?:\/\/[^)\s]+)\)|\*\*([^*]+)\*\*/g;

/** Renders one line of text as HTML: code, links and strong text. Code that is a name of the manual becomes a link. Escapes the rest. */
export function line(text: string, names: Names): Html {
  const parts: Html[] = [];
  let end = 0;
  for (const match of text.matchAll(MARKS)) {
    const [whole, code, label, address, strong] = match;
    parts.push(html`${text.slice(end, match.index)}`);
    if (code !== undefined) parts.push(codeLink(code, names));
    else if (label !== undefined) parts.push(html`<a href="${address ?? ''}">${label}</a>`);
    else parts.push(html`<strong>${strong ?? ''}</strong>`);
    end = match.index + whole.length;
  }
  return html`${[...parts, html`${text.slice(end)}`]}`;
}

/** Renders a text like `line`, with one `<p>` for each paragraph. */
export function prose(text: string | null | undefined, names: Names): Html {
  const paragraphs = (text ?? '').split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== '');
  return html`${paragraphs.map((paragraph) => html`<p>${line(paragraph.trim(), names)}</p>\n`)}`;
}

/** Renders a name as code, with a link if the manual has this name. */
export function codeLink(name: string, names: Names): Html {
  const address = names.addressOf(name);
  return address === undefined ? html`<code>${name}</code>` : html`<a href="${address}"><code>${name}</code></a>`;
}

/** Renders a block of code. */
export const code = (text: string): Html => html`<pre><code>${text.trimEnd()}</code></pre>\n`;

/** Renders a table. The first cell of each row is the row's header. */
export function table(heads: string[], rows: { id?: string; cells: Html[] }[]): Html {
  const head = heads.map((text) => html`<th scope="col">${text}</th>`);
  const body = rows.map(({ id, cells: [first = html``, ...rest] }) => {
    const mark = id === undefined ? html`` : html` id="${id}"`;
    return html`<tr${mark}><th scope="row">${first}</th>${rest.map((cell) => html`<td>${cell}</td>`)}</tr>\n`;
  });
  return html`<table><thead><tr>${head}</tr></thead>\n<tbody>\n${body}</tbody></table>\n`;
}

export const nothing = new Html('');
