// @ts-check
// `npm run manual`: hands what the documents say on to the pages that the server shows.

const { writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { MANUAL_FILE, printManual } = require('./checks/manual');
const { ROOT } = require('./checks/tools');

writeFileSync(join(ROOT, MANUAL_FILE), printManual());
