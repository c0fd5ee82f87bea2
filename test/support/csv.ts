/** Records of CSV as RFC 4180 has them, by a reader of its own: what is tested was written by another. */
function recordsOf(csv: string): string[][] {
  const records: string[][] = [[]];
  let rest = csv;
  while (rest !== '') {
    const [whole, quoted, plain, end] = /^(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`This is no CSV: ${rest.slice(0, 100)}`);
    records.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end === '\r\n') records.push([]);
    rest = rest.slice(whole.length);
  }
  return records.slice(0, -1);
}

/** Rows by the names that the first record has; fails where one is longer or shorter. */
export function rowsOfCsv(csv: string): Record<string, string>[] {
  const [names = [], ...records] = recordsOf(csv);
  return records.map((record) => {
    expect(record).toHaveLength(names.length);
    return Object.fromEntries(names.map((name, index) => [name, record[index] as string]));
  });
}
