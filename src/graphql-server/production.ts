/* eslint-disable no-restricted-properties -- the graphql package reads it */
// Must be imported before graphql, which reads NODE_ENV once when it is loaded. Unless that is "production", graphql checks each value of
// each answer for a second copy of the package, which takes a third of the time of a large answer. Tollgate uses NODE_ENV differently: see
// config.ts.

const { NODE_ENV } = process.env;
process.env.NODE_ENV = 'production';
try {
  require('graphql');
} finally {
  if (NODE_ENV === undefined) delete process.env.NODE_ENV;
  else process.env.NODE_ENV = NODE_ENV;
}
