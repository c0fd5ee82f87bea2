/** Parses CSV (RFC 4180). Does not use the library that writes the exports, so that its errors are found. */
function recordsOf(csv: string): string[][] {
  const records: string[][] = [[]];
  let rest = csv;
  while (rest !== '') {
    const [whole, quoted, plain, end] = /^(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`This is not CSV: ${rest.slice(0, 100)}`);
    records.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end === '\r\n') records.push([]);
    rest = rest.slice(whole.length);
  }
  return records.slice(0, -1);
}

/** Parses CSV into rows by column name. Fails if a record has more or fewer fields than the first one. */
export function rowsOfCsv(csv: string): Record<string, string>[] {
  const [names = [], ...records] = recordsOf(csv);
  return records.map((record) => {
    expect(record).toHaveLength(names.length);
    return Object.fromEntries(names.map((name, index) => [name, record[index] as string]));
  });
}
