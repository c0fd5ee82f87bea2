import type { KeptAnswer } from '../../forwarding/request';

// The answer of a replayable route as the text that a claim keeps.

interface StoredAnswer {
  status: number;
  headers: string[];
  /** Base64, because a body can have any bytes. */
  body: string;
}

export function keptText({ status, headers, body }: KeptAnswer): string {
  const stored: StoredAnswer = { status, headers, body: body.toString('base64') };
  return JSON.stringify(stored);
}

export function keptAnswerIn(text: string): KeptAnswer {
  const { status, headers, body } = JSON.parse(text) as StoredAnswer;
  return { status, headers, body: Buffer.from(body, 'base64') };
}
