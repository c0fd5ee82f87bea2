// An ESLint rule with three house rules for writes through TypeORM. It checks types, so that other `save` and `update` methods are allowed.

const STALE = new Set(['save', 'upsert', 'remove', 'softRemove', 'recover']);
const WRITES = new Set([
  'insert',
  'update',
  'updateAll',
  'delete',
  'deleteAll',
  'softDelete',
  'restore',
  'increment',
  'decrement',
  'clear',
  'into',
  'from',
]);
const READING_BUILDER = 'SelectQueryBuilder'; // its `from` reads; the `from` of DeleteQueryBuilder deletes
const CHANGES = new Set([...WRITES].filter((method) => method !== 'insert' && method !== 'into'));
const BALANCES = /^(wallets?|budgets?)$/i;

const TRAIL = /^(audit_?events?|audit_?seals?)$/i;

/** @type {import('eslint').Rule.RuleModule} */
export default {
  meta: {
    type: 'problem',
    schema: [{ type: 'object', properties: { mayWriteBalances: { type: 'boolean' } }, additionalProperties: false }],
    messages: {
      stale:
        '{{method}}() is not allowed here, use update() with named columns and the expected state in its where. ' +
        '{{method}}() writes every column of a stale entity back, and so can reactivate a revoked key.',
      balances:
        '{{method}}() on a wallet or a budget is not allowed here, use the functions of src/wallet/ledger.ts, the only writer of balances.',
      trail: '{{method}}() on the audit trail is not allowed here: events and seals are written once and never changed or deleted.',
    },
  },
  create(context) {
    const { mayWriteBalances = false } = context.options[0] ?? {};
    const typeAt = context.sourceCode.parserServices.getTypeAtLocation;
    return {
      CallExpression(node) {
        if (node.callee.type !== 'MemberExpression') return;
        const method = node.callee.computed ? node.callee.property.value : node.callee.property.name;
        if (!STALE.has(method) && !WRITES.has(method)) return;
        const owner = variants(typeAt(node.callee.object)).find(isTypeorm);
        if (!owner) return;
        if (STALE.has(method)) {
          context.report({ node, messageId: 'stale', data: { method } });
        } else if (!(method === 'from' && owner.symbol.name === READING_BUILDER)) {
          const targets = [...typeArguments(owner), ...node.arguments.slice(0, 1).flatMap((argument) => variants(typeAt(argument)))];
          if (!mayWriteBalances && targets.some(named(BALANCES))) context.report({ node, messageId: 'balances', data: { method } });
          if (CHANGES.has(method) && targets.some(named(TRAIL))) context.report({ node, messageId: 'trail', data: { method } });
        }
      },
    };
  },
};

const variants = (type) => (type.isUnion() ? type.types : [type]);

/** Returns whether a type is a repository, entity manager or query builder of TypeORM, or inherits from one. */
function isTypeorm(type) {
  const { name, declarations = [] } = type.symbol ?? {};
  const own =
    /^(.*Repository|EntityManager|.*QueryBuilder)$/.test(name) &&
    declarations.some((place) => /\/typeorm\//.test(place.getSourceFile().fileName));
  return own || (type.getBaseTypes?.() ?? []).some(isTypeorm);
}

/** Returns `Wallet` for `Repository<Wallet>`. */
const typeArguments = (type) =>
  (type.aliasTypeArguments ?? type.resolvedTypeArguments ?? type.typeArguments ?? []).filter((argument) => argument.symbol);

const named = (pattern) => (type) => pattern.test(type.isStringLiteral() ? type.value : (type.symbol?.name ?? ''));
