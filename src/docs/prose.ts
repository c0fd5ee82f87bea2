import { Html, html } from '../lib/html';
import type { Names } from './names';

const MARKS = /`([^`]+)`|\[([^\]]+)\]\((https?:\/\/[^)\s]+)\)|\*\*([^*]+)\*\*/g;

/** A text with its marks as HTML: code (a link where it is a name that the manual has), links and what is strong; all else is escaped. */
export function line(text: string, names: Names): Html {
  const parts: Html[] = [];
  let end = 0;
  for (const match of text.matchAll(MARKS)) {
    const [whole, code, label, address, strong] = match;
    parts.push(html`${text.slice(end, match.index)}`, code !== undefined ? codeLink(code, names) : label !== undefined ? html`<a href="${address ?? ''}">${label}</a>` : html`<strong>${strong ?? ''}</strong>`);
    end = match.index + whole.length;
  }
  return html`${[...parts, html`${text.slice(end)}`]}`;
}

/** The same, a paragraph for each that the text has. */
export function prose(text: string | null | undefined, names: Names): Html {
  const paragraphs = (text ?? '').split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== '');
  return html`${paragraphs.map((paragraph) => html`<p>${line(paragraph.trim(), names)}</p>\n`)}`;
}

/** A name as code, and as a link where the manual has it. */
export function codeLink(name: string, names: Names): Html {
  const address = names.addressOf(name);
  return address === undefined ? html`<code>${name}</code>` : html`<a href="${address}"><code>${name}</code></a>`;
}

/** A block of code, as it stands. */
export const code = (text: string): Html => html`<pre><code>${text.trimEnd()}</code></pre>\n`;

/** A table with a head; the first cell of each row names it. */
export function table(heads: string[], rows: { id?: string; cells: Html[] }[]): Html {
  const head = heads.map((text) => html`<th scope="col">${text}</th>`);
  const body = rows.map(({ id, cells: [first = html``, ...rest] }) => {
    const mark = id === undefined ? html`` : html` id="${id}"`;
    return html`<tr${mark}><th scope="row">${first}</th>${rest.map((cell) => html`<td>${cell}</td>`)}</tr>\n`;
  });
  return html`<table><thead><tr>${head}</tr></thead>\n<tbody>\n${body}</tbody></table>\n`;
}

export const nothing = new Html('');
