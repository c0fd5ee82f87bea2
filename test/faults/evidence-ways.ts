// The evidence of the load by routes and verifications. Each has an id, which its log row has as user agent: `way/ID`.

/** One request of a route, sent once. */
export interface RouteCall {
  id: number;
  keyId: string;
  action: string;
  environment: 'LIVE' | 'TEST';
  isPoor: boolean;
  /** The Idempotency-Key, or null. */
  requestId: string | null;
  /** 0 if the answer did not come to its end. */
  status: number;
  /** Whether the API's own answer arrived, and not an error of Tollgate's. */
  isApis: boolean;
  replay: boolean;
  code: string | null;
  text: string;
  answeredRequestId: string | null;
}

/** One request as the API served it. */
export interface Served {
  requestId: string;
  /** What it sent as `mark`, which is in the answer. */
  mark: number;
  status: number;
  tokens: number;
  receivedAt: number;
  /** When it has given its whole answer to the connection. Null: never. */
  completeAt: number | null;
}

/** One question whether a key may call, sent once or several times. All sends have the same body. */
export interface Question {
  id: number;
  mode: 'charge' | 'hold';
  isPoor: boolean;
  environment: 'LIVE' | 'TEST';
  tokens: number | null;
  answers: { status: number; valid: boolean; code: string | null; text: string; charged: number | null; holdId: string | null }[];
}

/** One request to end or to extend a hold, sent once. */
export interface End {
  holdId: string;
  isPoor: boolean;
  environment: 'LIVE' | 'TEST';
  what: 'settle' | 'void' | 'extend';
  tokens: number | null;
  amount: number | null;
  status: number;
  code: string | null;
  charged: number | null;
  outcome: string | null;
  expiresAt: number | null;
}

export interface WaysEvidence {
  routeCalls: RouteCall[];
  served: Served[];
  questions: Question[];
  ends: End[];
}
