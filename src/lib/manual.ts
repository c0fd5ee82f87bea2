import manual from './manual-texts.json';

/** A tested operation of the tour in the documents. */
export interface Example {
  section: string;
  title: string;
  /** The first root field of the operation. */
  field: string;
  document: string;
  /** JSON, or an empty text. */
  variables: string;
}

/** The operations and tables of README.md and docs/, with their simple markdown. The pages in the browser show them. */
export interface Manual {
  examples: Example[];
  restErrors: { status: string; kind: string; code: string; when: string; details: string }[];
  graphqlErrors: { code: string; when: string }[];
  limits: { what: string; value: string }[];
  otherLimits: string[];
}

export const MANUAL = manual as Manual;
