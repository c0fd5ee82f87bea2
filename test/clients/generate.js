// @ts-check
// Runs GraphQL Code Generator and prints the generated types:
// `node generate.js typescript SCHEMA` or `node generate.js operations SCHEMA DOCUMENTS`.
// It is a separate process, because some of the packages are ES modules, which jest does not load.

const { readFileSync } = require('node:fs');
const { codegen } = require('@graphql-codegen/core');
const { parse } = require('graphql');

const PLUGINS = {
  typescript: () => require('@graphql-codegen/typescript'),
  operations: () => require('@graphql-codegen/typescript-operations'),
};

async function main() {
  const [plugin, schema = '', ...documents] = process.argv.slice(2);
  const name = plugin === 'operations' ? plugin : 'typescript';
  const made = await codegen({
    filename: 'generated.ts',
    schema: parse(readFileSync(schema, 'utf8')),
    documents: documents.map((location) => ({ location, document: parse(readFileSync(location, 'utf8')) })),
    config: { strictScalars: true, scalars: { DateTime: 'string', MicroCredits: 'number', JSONObject: 'Record<string, unknown>' } },
    plugins: [{ [name]: {} }],
    pluginMap: { [name]: PLUGINS[name]() },
  });
  process.stdout.write(made);
}

main().catch((error) => {
  process.stderr.write(String(error));
  process.exitCode = 1;
});
