/** Matches a reason that ends with its last day. `npm run check -- evolution` reads this day. */
export const REMOVED_AFTER = /\. Removed after \d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\.$/;

/** Requires every deprecation in the schema to say what to use instead and when the part may be removed. */
export default {
  meta: {
    type: 'problem',
    messages: {
      date: 'A deprecation without a date is not allowed here, end its reason with the last day: "Use x. Removed after 2027-06-01."',
    },
    schema: [],
  },
  create(context) {
    return {
      'Directive[name.value="deprecated"]'(node) {
        const reason = node.arguments.find((argument) => argument.name.value === 'reason');
        if (!reason || !REMOVED_AFTER.test(reason.value.value)) context.report({ node: reason ?? node, messageId: 'date' });
      },
    };
  },
};
