// @ts-check
// `npm run manual`: copies parts of the documents into a file for the server's pages.

const { writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { MANUAL_FILE, printManual } = require('./checks/manual');
const { ROOT } = require('./checks/tools');

writeFileSync(join(ROOT, MANUAL_FILE), printManual());
