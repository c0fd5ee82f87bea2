// An existing API behind Tollgate: a free upload, a call with a flat price, and a call with a price for each face.
// Run it with `node examples/existing-api/start.mjs`.

import { fileURLToPath } from 'node:url';
import { CREDIT, invite, startProgram, startTollgate } from '../tollgate.mjs';

const upstreamUrl = await startProgram(fileURLToPath(new URL('api.mjs', import.meta.url)));
const tollgate = await startTollgate();

await tollgate.createRoute({
  action: { service: 'images', name: 'images.upload', permission: 'images.upload', priceMicroCredits: 0 },
  route: { methods: ['POST'], path: '/api/detector/upload', upstreamUrl },
});
await tollgate.createRoute({
  action: { service: 'images', name: 'images.detect', permission: 'images.detect', priceMicroCredits: CREDIT },
  route: { methods: ['POST'], path: '/api/detect', upstreamUrl },
});
await tollgate.createRoute({
  action: {
    service: 'images',
    name: 'images.blur',
    permission: 'images.blur',
    priceMicroCredits: 0,
    unitPrices: [{ unit: 'faces', microCredits: CREDIT / 4, per: 1 }],
    maxChargeMicroCredits: 10 * CREDIT, // reserved while the call runs
  },
  // Each answer of the API has the number of faces in the property `blurred_faces`
  route: { methods: ['POST'], path: '/api/blur', upstreamUrl, usage: [{ unit: 'faces', pointer: '/blurred_faces' }] },
});
const { projectId, apiKey } = await tollgate.createProject({ name: 'Studio', service: 'images', budget: 100 * CREDIT });

const curl = (path) => `curl -sS ${tollgate.url}${path} -H 'X-Api-Key: ${apiKey}'`;
invite(
  ['Upload an image of 5 MB. This is free:', `head -c 5000000 /dev/zero | ${curl('/api/detector/upload')} --data-binary @-`],
  ['Detect its faces. This costs 1 credit:', `${curl('/api/detect')} -d '{"image_id":"img_1"}'`],
  ['Blur its faces. This costs 0.25 credits for each face:', `${curl('/api/blur')} -d '{"image_id":"img_1"}'`],
  ['Name an image that does not exist. An answer with an error costs nothing:', `${curl('/api/detect')} -d '{"image_id":"img_0"}'`],
  ['See the bills:', tollgate.billsLine(projectId)],
);
