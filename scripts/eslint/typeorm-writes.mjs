// An ESLint rule with three house rules on how TypeORM writes. It asks the types, so that a `save` or `update` of anything else is free.

const STALE = new Set(['save', 'upsert', 'remove', 'softRemove', 'recover']);
const WRITES = new Set(['insert', 'update', 'updateAll', 'delete', 'deleteAll', 'softDelete', 'restore', 'increment', 'decrement', 'clear', 'into', 'from']);
const READING_BUILDER = 'SelectQueryBuilder'; // its `from` reads; DeleteQueryBuilder's names what goes
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
        '{{method}}() is not allowed here, use update() with named columns and the state in its where: {{method}}() writes every column of a stale entity back, and so brings a revoked key to life.',
      balances: '{{method}}() on a wallet or a budget is not allowed here, use the functions of src/wallet/ledger.ts, the only writer of balances.',
      trail: '{{method}}() on the audit trail is not allowed here: an event and its seal are written once, never changed and never deleted.',
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

/** Whether it is a repository, an entity manager or a query builder of TypeORM's, or inherits from one. */
function isTypeorm(type) {
  const { name, declarations = [] } = type.symbol ?? {};
  const own = /^(.*Repository|EntityManager|.*QueryBuilder)$/.test(name) && declarations.some((place) => /\/typeorm\//.test(place.getSourceFile().fileName));
  return own || (type.getBaseTypes?.() ?? []).some(isTypeorm);
}

/** `Wallet` of `Repository<Wallet>`. */
const typeArguments = (type) => (type.aliasTypeArguments ?? type.resolvedTypeArguments ?? type.typeArguments ?? []).filter((argument) => argument.symbol);

const named = (pattern) => (type) => pattern.test(type.isStringLiteral() ? type.value : (type.symbol?.name ?? ''));
