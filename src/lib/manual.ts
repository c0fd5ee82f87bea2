import manual from './manual.json';

/** An operation of the documents' tour, as it is tested there. */
export interface Example {
  section: string;
  title: string;
  /** The field that it asks for first. */
  field: string;
  document: string;
  /** JSON, or nothing. */
  variables: string;
}

/** What README.md and docs/ say, for whoever reads it in a browser: its operations and tables, with their light markdown. */
export interface Manual {
  examples: Example[];
  restErrors: { status: string; kind: string; code: string; when: string; details: string }[];
  graphqlErrors: { code: string; when: string }[];
  limits: { what: string; value: string }[];
  otherLimits: string[];
}

export const MANUAL = manual as Manual;
