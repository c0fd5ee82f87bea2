// @ts-check

/** @typedef {Record<string, any>} Json */

/**
 * Returns one sentence for each change that breaks a client of a released OpenAPI document. An operation or a parameter may be removed if
 * the release had it as `deprecated`, with a description that ends with "Removed after YYYY-MM-DD.", and that day has passed.
 * @param {Json} released
 * @param {Json} present
 * @param {string} today YYYY-MM-DD
 * @returns {string[]}
 */
function openapiChanges(released, present, today) {
  return operationsOf(released).flatMap(([name, before]) => {
    const after = operationsOf(present).find(([other]) => other === name)?.[1];
    if (!after) return isDue(before, today) ? [] : [`${name} is gone.`];
    return [
      ...parameterChanges(before.parameters ?? [], after.parameters ?? [], today),
      ...Object.keys(before.responses)
        .filter((status) => !(status in after.responses))
        .map((status) => `answers ${status} no longer`),
      ...bodyChanges({ document: released, body: before.requestBody }, { document: present, body: after.requestBody }, 'request'),
      ...Object.keys(before.responses).flatMap((status) =>
        bodyChanges(
          { document: released, body: before.responses[status] },
          { document: present, body: after.responses[status] },
          'response',
        ).map((change) => `${status}: ${change}`),
      ),
    ].map((change) => `${name}: ${change}.`);
  });
}

/**
 * @param {Json} document
 * @returns {[string, Json][]}
 */
function operationsOf(document) {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => /** @type {[string, Json]} */ ([`${method.toUpperCase()} ${path}`, operation])),
  );
}

/**
 * @param {Json} part
 * @param {string} today
 */
function isDue({ deprecated, description = '' }, today) {
  const day = /Removed after (\d{4}-\d{2}-\d{2})\.$/.exec(description)?.[1];
  return deprecated === true && day !== undefined && day < today;
}

/**
 * @param {Json[]} before
 * @param {Json[]} after
 * @param {string} today
 */
function parameterChanges(before, after, today) {
  const same = (/** @type {Json} */ left) => (/** @type {Json} */ right) => left.name === right.name && left.in === right.in;
  return [
    ...before.filter((parameter) => !after.some(same(parameter)) && !isDue(parameter, today)).map(({ name }) => `takes ${name} no longer`),
    ...after.flatMap((parameter) => {
      const earlier = before.find(same(parameter));
      const required = parameter.required && !earlier?.required ? [`wants ${parameter.name}`] : [];
      return [
        ...required,
        ...(earlier
          ? schemaChanges({ document: {}, schema: earlier.schema }, { document: {}, schema: parameter.schema }, parameter.name, 'request')
          : []),
      ];
    }),
  ];
}

/**
 * @param {{ document: Json, body: Json | undefined }} before
 * @param {{ document: Json, body: Json | undefined }} after
 * @param {'request' | 'response'} direction
 * @returns {string[]}
 */
function bodyChanges(before, after, direction) {
  return Object.entries(before.body?.content ?? {}).flatMap(([type, { schema }]) => {
    const present = after.body?.content?.[type];
    if (!present) return after.body ? [`has no ${type} any more`] : [];
    return schemaChanges({ document: before.document, schema }, { document: after.document, schema: present.schema }, 'body', direction);
  });
}

/**
 * @param {{ document: Json, schema: Json }} before
 * @param {{ document: Json, schema: Json }} after
 * @param {string} place
 * @param {'request' | 'response'} direction
 * @returns {string[]}
 */
function schemaChanges(before, after, place, direction) {
  // Other forms may be added
  const form = before.schema && after.schema && sameForm(before.schema, after.schema);
  const [old, now] = [resolve(before), resolve(form ? { document: after.document, schema: form } : after)];
  if (!old || !now) return [];
  /** @type {(schema: Json | undefined, other: Json | undefined, at: string) => string[]} */
  const inside = (schema, other, at) =>
    schema && other ? schemaChanges({ document: before.document, schema }, { document: after.document, schema: other }, at, direction) : [];
  if (now.oneOf && !old.oneOf) {
    // Each form keeps the promises of the earlier schema
    return [...new Set(now.oneOf.flatMap((/** @type {Json} */ each) => inside(old, each, place)))];
  }
  const properties = Object.keys(old.properties ?? {});
  /** @type {(schema: Json) => string[]} */
  const required = ({ required: names = [] }) => names;
  return [
    ...(JSON.stringify(old.type) === JSON.stringify(now.type)
      ? []
      : [`${place} is ${JSON.stringify(now.type)} and was ${JSON.stringify(old.type)}`]),
    ...properties.filter((name) => !(name in (now.properties ?? {}))).map((name) => `${place}.${name} is gone`),
    ...(direction === 'request'
      ? [
          ...required(now)
            .filter((name) => !required(old).includes(name))
            .map((name) => `${place}.${name} is required now`),
          ...(old.enum ?? [])
            .filter((/** @type {unknown} */ value) => !(now.enum ?? old.enum).includes(value))
            .map((/** @type {unknown} */ value) => `${place} takes ${JSON.stringify(value)} no longer`),
        ]
      : required(old)
          .filter((name) => name in (now.properties ?? {}) && !required(now).includes(name))
          .map((name) => `${place}.${name} may be absent now`)),
    ...properties.flatMap((name) => inside(old.properties[name], now.properties?.[name], `${place}.${name}`)),
    ...inside(old.items, now.items, `${place}[]`),
    ...(old.oneOf ?? []).flatMap((/** @type {Json} */ schema, /** @type {number} */ index) => {
      const form = sameForm(schema, now) ?? now.oneOf?.[index];
      return form ? inside(schema, form, `${place}(${index + 1})`) : [`${place} lost a form`];
    }),
  ];
}

/**
 * Returns the form of `now` that refers to the same schema as `old`.
 * @param {Json} old
 * @param {Json} now
 * @returns {Json | undefined}
 */
function sameForm({ $ref }, { oneOf = [] }) {
  return $ref === undefined ? undefined : oneOf.find((/** @type {Json} */ form) => form.$ref === $ref);
}

/**
 * @param {{ document: Json, schema: Json | undefined }} part
 * @returns {Json | undefined}
 */
function resolve({ document, schema }) {
  const name = /^#\/components\/schemas\/(.+)$/.exec(schema?.$ref ?? '')?.[1];
  return name === undefined ? schema : document.components?.schemas?.[name];
}

module.exports = { openapiChanges };
