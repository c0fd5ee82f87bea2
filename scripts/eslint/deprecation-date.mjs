/** The end of every reason, by which a check knows when what is deprecated may go. */
export const REMOVED_AFTER = /\. Removed after \d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\.$/;

/** What is deprecated in the schema says why, what to use instead, and until when it stays. */
export default {
  meta: {
    type: 'problem',
    messages: { date: 'A deprecation without a date is not allowed here, end its reason with the last day: "Use x. Removed after 2027-06-01."' },
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
