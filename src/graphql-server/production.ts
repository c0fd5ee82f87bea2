/* eslint-disable no-restricted-properties -- the graphql package reads it */
// Must be imported before graphql, which reads NODE_ENV once when it is loaded. Unless NODE_ENV is "production", graphql checks for each
// value of an answer whether a second copy of the package made it. The checks take a third of the time of a large answer. Tollgate uses
// NODE_ENV differently: see config.ts.

const { NODE_ENV } = process.env;
process.env.NODE_ENV = 'production';
try {
  require('graphql');
} finally {
  if (NODE_ENV === undefined) delete process.env.NODE_ENV;
  else process.env.NODE_ENV = NODE_ENV;
}
