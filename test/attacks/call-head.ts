import { mintSecret } from '../../src/access/secret';

/** The head of a call with a key that is well-formed and belongs to nobody, before a body of so many bytes. */
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
