import { PersistedDocuments } from '../src/graphql-server/persisted-documents';

it('stores at most 1,000 documents, and evicts the least recently used', async () => {
  const documents = new PersistedDocuments();
  for (let index = 0; index < 1_000; index += 1) await documents.set(`hash ${index}`, `document ${index}`);
  expect(await documents.get('hash 0')).toBe('document 0');
  await documents.set('one more', 'document');
  expect([await documents.get('hash 0'), await documents.get('hash 1'), await documents.get('one more')]).toEqual([
    'document 0',
    undefined,
    'document',
  ]);
});
