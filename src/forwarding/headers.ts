/** Headers as they are on the wire: name, value, name, value. Names keep their case, and headers keep their order. */
export type RawHeaders = readonly string[];

export type Header = readonly [name: string, value: string];

/** Headers that belong to one connection, so a proxy never passes them on. `Connection` can name others. */
const HOP_BY_HOP = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Calls back for each header, with its name in lower case. */
export function eachHeader(raw: RawHeaders, callBack: (lowerName: string, value: string, name: string) => void): void {
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name, value] = [raw[at] as string, raw[at + 1] as string];
    callBack(name.toLowerCase(), value, name);
  }
}

/** The members of a header that is a list, without quotes around commas. Empty members are left out. */
export function listOf(value: string): string[] {
  return value.split(',').flatMap((part) => part.trim() || []);
}

/** Returns a test for the headers that belong to the connection of `raw`. It takes names in lower case. */
export function hopByHop(raw: RawHeaders): (lowerName: string) => boolean {
  let named: Set<string> | undefined;
  eachHeader(raw, (name, value) => {
    if (name !== 'connection' || /^(keep-alive|close)$/i.test(value)) return;
    named ??= new Set();
    for (const option of listOf(value.toLowerCase())) named.add(option);
  });
  return (name) => HOP_BY_HOP.has(name) || named?.has(name) === true;
}
