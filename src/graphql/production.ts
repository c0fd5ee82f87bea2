/* eslint-disable no-restricted-properties -- it is graphql that reads this, and not us */
// To be imported before graphql: it reads NODE_ENV once, as it is loaded, and in anything but production has each value of each answer looked
// over for a second copy of itself, which takes a third of the time of a large answer. NODE_ENV says something else here, see config.ts.

const { NODE_ENV } = process.env;
process.env.NODE_ENV = 'production';
try {
  require('graphql');
} finally {
  if (NODE_ENV === undefined) delete process.env.NODE_ENV;
  else process.env.NODE_ENV = NODE_ENV;
}
