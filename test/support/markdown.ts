/** A fenced block of a document. */
export interface Block {
  language: string;
  text: string;
  /** Line number of the start of its text, counted from 1. */
  line: number;
}

/** A step of the reader: a block to run, its variables, and its expected outputs. */
export interface Step {
  block: Block;
  variables?: Block;
  outputs: Block[];
}

const RUNNABLE = ['sh', 'sql', 'js', 'graphql'];

/** Configurations of other programs. test/proxies.test.ts runs those of nginx and Caddy, and reads the others. */
const CONFIGURATIONS = ['nginx', 'caddy', 'yaml'];

/** The fenced blocks of a document, in their order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  markdown.split('\n').forEach((content, index) => {
    const fence = /^```(.*)$/.exec(content);
    if (!fence && open) open.text += `${content}\n`;
    if (fence && open) blocks.push(open);
    if (fence) open = open ? undefined : { language: fence[1] as string, text: '', line: index + 2 };
  });
  if (open) throw new Error(`The block at line ${open.line} does not end.`);
  return blocks;
}

/** Groups blocks to steps. Throws for a block that is neither run nor compared, because no test would notice its faults. */
export function stepsOf(blocks: readonly Block[]): Step[] {
  const steps: Step[] = [];
  blocks.forEach((block, index) => {
    const last = steps.at(-1);
    if (RUNNABLE.includes(block.language)) steps.push({ block, outputs: [] });
    else if (block.language === 'json' && blocks[index - 1]?.language === 'graphql' && last) last.variables = block;
    else if ((block.language === 'text' || block.language === 'http') && last?.block.language === 'sh') last.outputs.push(block);
    else if (!CONFIGURATIONS.includes(block.language)) {
      throw new Error(`The ${block.language || 'nameless'} block at line ${block.line} belongs to no command and no operation.`);
    }
  });
  return steps;
}

/** Returns the text between a heading and the next heading of the same or a higher rank. */
export function sectionOf(markdown: string, heading: string): string {
  const lines = markdown.split('\n');
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  if (start === -1) throw new Error(`There is no heading "${heading}".`);
  const rank = (lines[start] as string).indexOf(' ');
  const length = lines.slice(start + 1).findIndex((line) => /^#+ /.test(line) && line.indexOf(' ') <= rank);
  return lines.slice(start + 1, length === -1 ? undefined : start + 1 + length).join('\n');
}

/** Returns the rows of all tables in a text, without the header rows. Cells keep their Markdown. */
export function rowsOf(markdown: string): string[][] {
  const lines = markdown.split('\n');
  const isRule = (line: string | undefined): boolean => /^\|[-| ]+\|$/.test(line ?? '');
  return lines
    .filter((line, index) => line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1]))
    .map((line) => line.slice(1, -1).split('|').map((cell) => cell.trim()));
}

/** Returns all inline code of a text, without the fenced blocks. */
export function codeOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] as string);
}
