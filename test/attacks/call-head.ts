import { mintSecret } from '../../src/access/secret';

/** Returns the request line and headers of a call with a well-formed but unknown key and a body of `bodyBytes`. */
export function callHead(bodyBytes: number): string {
  const lines = [
    'POST /v1/demo/execute HTTP/1.1',
    'Host: a',
    `Authorization: Bearer ${mintSecret('acme', 'LIVE')}`,
    'Content-Type: application/json',
    `Content-Length: ${bodyBytes}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
