import { createRequire } from 'node:module';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';
import deprecationDate from './scripts/eslint/deprecation-date.mjs';
import typeormWrites from './scripts/eslint/typeorm-writes.mjs';

/**
 * Loaded as CommonJS, because its ES modules cannot be linked: one of them imports a name that the pinned @graphql-tools/utils lacks.
 * Newer versions of that package need a newer Node than 20 (see `overrides` in package.json).
 */
const graphql = createRequire(import.meta.url)('@graphql-eslint/eslint-plugin').default;

/** Allows to throw again a caught value or the reason of an AbortSignal, which have no known type. */
const FAILURES = { allowThrowingAny: true, allowThrowingUnknown: true };

const correctness = {
  eqeqeq: 'error',
  'no-console': 'error',
  'no-constant-binary-expression': 'error',
  'no-fallthrough': 'error',
  'no-self-assign': 'error',
  'no-self-compare': 'error',
  'no-template-curly-in-string': 'error',
  'no-unmodified-loop-condition': 'error',
  'no-unreachable-loop': 'error',
  'no-unsafe-finally': 'error',
  'no-unsafe-optional-chaining': 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  '@typescript-eslint/await-thenable': 'error',
  '@typescript-eslint/ban-ts-comment': ['error', { 'ts-check': false }],
  '@typescript-eslint/no-array-delete': 'error',
  '@typescript-eslint/no-base-to-string': 'error',
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/no-floating-promises': 'error',
  '@typescript-eslint/no-for-in-array': 'error',
  '@typescript-eslint/no-implied-eval': 'error',
  '@typescript-eslint/no-misused-promises': 'error',
  '@typescript-eslint/no-redundant-type-constituents': 'error',
  '@typescript-eslint/no-unsafe-argument': 'error',
  '@typescript-eslint/no-unsafe-assignment': 'error',
  '@typescript-eslint/no-unsafe-call': 'error',
  '@typescript-eslint/no-unsafe-member-access': 'error',
  '@typescript-eslint/no-unsafe-return': 'error',
  '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_$', ignoreRestSiblings: true }],
  '@typescript-eslint/only-throw-error': ['error', FAILURES],
  '@typescript-eslint/prefer-promise-reject-errors': ['error', FAILURES],
  '@typescript-eslint/restrict-plus-operands': 'error',
  '@typescript-eslint/return-await': ['error', 'in-try-catch'], // otherwise the catch clause never sees the failure
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  // consistent-type-imports stays off, because decorators need the imported classes at run time.
};

const ENVIRONMENT = 'process.env is not allowed here, use the Config that src/config.ts reads from it.';
const TYPE_IMPORT = {
  selector: 'TSImportType',
  message: "import('...') in a type is not allowed here, use an import at the top of the file: the import rules see only those.",
};
const PROCESS_IMPORT = {
  selector: 'ImportDeclaration[source.value=/^(node:)?process$/]',
  message: 'Importing process is not allowed here, use the global.',
};
const moneySql = (node, property) => ({
  selector: `${node}[${property}=/\\b(UPDATE|INSERT INTO|REPLACE INTO|DELETE FROM)\\s+[\`"]?(budgets|wallets)\\b/i]`,
  message: "SQL that writes budgets or wallets is not allowed here, use the ledger (src/wallet/ledger.ts), or the gate's tick for calls.",
});

const trailSql = (node, property) => ({
  selector: `${node}[${property}=/\\b(UPDATE|REPLACE INTO|DELETE FROM)\\s+[\`"]?(audit_events|audit_seals)\\b/i]`,
  message: 'SQL that changes or deletes events or their seals is not allowed: the audit trail is append-only.',
});

const restricted = (...rules) => [
  'error',
  TYPE_IMPORT,
  PROCESS_IMPORT,
  trailSql('Literal', 'value'),
  trailSql('TemplateElement', 'value.cooked'),
  ...rules,
];

/** Rules for the schema that clients see: names and lists keep one form, so that clients learn it once. */
const schemaRules = {
  'house/deprecation-date': 'error',
  '@graphql-eslint/description-style': 'error',
  '@graphql-eslint/input-name': ['error', { checkInputType: true, caseSensitiveInputType: false }],
  '@graphql-eslint/naming-convention': [
    'error',
    {
      types: 'PascalCase',
      FieldDefinition: 'camelCase',
      InputValueDefinition: 'camelCase',
      DirectiveDefinition: 'camelCase',
      EnumValueDefinition: 'UPPER_CASE',
      'FieldDefinition[parent.name.value=Query]': { forbiddenPrefixes: ['query', 'get', 'list'], forbiddenSuffixes: ['Query'] },
      'FieldDefinition[parent.name.value=Mutation]': { forbiddenPrefixes: ['mutation'], forbiddenSuffixes: ['Mutation'] },
      'FieldDefinition[parent.name.value=Subscription]': { forbiddenPrefixes: ['subscription', 'on'], forbiddenSuffixes: ['Subscription'] },
      ObjectTypeDefinition: { forbiddenPrefixes: ['Type'], forbiddenSuffixes: ['Type'] },
      InputObjectTypeDefinition: { requiredPattern: /(Input|Filter|Order)$/ },
    },
  ],
  '@graphql-eslint/no-hashtag-description': 'error',
  '@graphql-eslint/no-scalar-result-type-on-mutation': 'error',
  '@graphql-eslint/no-typename-prefix': 'error',
  '@graphql-eslint/no-unreachable-types': 'error',
  '@graphql-eslint/relay-arguments': 'error',
  '@graphql-eslint/relay-connection-types': 'error',
  '@graphql-eslint/relay-edge-types': ['error', { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false }],
  '@graphql-eslint/relay-page-info': 'error',
  '@graphql-eslint/require-deprecation-reason': 'error',
  '@graphql-eslint/require-description': [
    'error',
    {
      types: true,
      rootField: true,
      DirectiveDefinition: true,
      EnumValueDefinition: true,
      FieldDefinition: true,
      InputValueDefinition: true,
    },
  ],
};

export default defineConfig(
  { ignores: ['dist/', 'coverage/', 'data/', 'test/contract/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.{ts,js,mjs,cjs}'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    languageOptions: { parser: tseslint.parser },
  },
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.check.json', tsconfigRootDir: import.meta.dirname } },
    rules: correctness,
  },
  {
    // The house rules. They prevent lost money and revived keys, and check what types cannot express.
    files: ['src/**/*.ts'],
    plugins: { house: { rules: { 'typeorm-writes': typeormWrites } } },
    rules: {
      'house/typeorm-writes': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: ENVIRONMENT },
        {
          object: 'Math',
          property: 'random',
          message: 'Math.random is not allowed here, use randomBase62 or newId of src/lib/id.ts, or node:crypto.',
        },
      ],
      'no-restricted-syntax': restricted(moneySql('Literal', 'value'), moneySql('TemplateElement', 'value.cooked')),
    },
  },
  {
    files: ['src/config.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Math.random is not allowed here, use node:crypto.' },
      ],
    },
  },
  {
    files: ['src/wallet/ledger*.ts', 'src/gate/tick/*.ts'],
    rules: { 'no-restricted-syntax': restricted() },
  },
  {
    files: ['src/wallet/ledger*.ts'],
    rules: { 'house/typeorm-writes': ['error', { mayWriteBalances: true }] },
  },
  {
    files: ['src/main.ts', 'src/cli.ts', 'scripts/**', 'bench/**'],
    rules: { 'no-console': 'off' },
  },
  {
    // Matchers such as expect.any have the type any, and a test reads answers before it has asserted their form.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    // Plain scripts and configuration files have no type information.
    files: ['**/*.{js,mjs,cjs}'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: {
      eqeqeq: 'error',
      'no-unreachable-loop': 'error',
      'no-unsafe-finally': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['**/*.graphql'],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: './schema.graphql' } } },
    plugins: { '@graphql-eslint': graphql, house: { rules: { 'deprecation-date': deprecationDate } } },
  },
  { files: ['schema.graphql'], rules: schemaRules },
);
