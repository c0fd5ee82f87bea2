// The official package `openai` as a client of a chat API behind Tollgate: an answer, a stream, and the package's errors.
// Run it with `node examples/openai-client/start.mjs`.

import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CREDIT, invite, startProgram, startTollgate } from '../tollgate.mjs';
import { API_FILE, chatRoute } from '../chat-api/route.mjs';

const upstreamUrl = await startProgram(API_FILE);
const tollgate = await startTollgate();

await tollgate.createRoute(chatRoute(upstreamUrl));
const { projectId, apiKey } = await tollgate.createProject({ name: 'Kiosk', service: 'chat', budget: CREDIT });
const poor = await tollgate.createProject({ name: 'Poor', service: 'chat', budget: 0 });
const slow = await tollgate.createProject({ name: 'Slow', service: 'chat', budget: CREDIT, rateLimit: { sustainedRps: 0.5, burst: 1 } });

const client = relative(process.cwd(), fileURLToPath(new URL('ask.mjs', import.meta.url)));
const ask = (key) => `OPENAI_BASE_URL=${tollgate.url}/v1 OPENAI_API_KEY=${key} node ${client}`;
invite(
  ['Get an answer and a stream:', ask(apiKey)],
  ['Use a wrong key:', ask(`${apiKey.slice(0, -4)}aaaa`)],
  ['Use a key whose project has no credit:', ask(poor.apiKey)],
  ['Use a key of a project that allows one call in two seconds. The package waits, and tries again:', ask(slow.apiKey)],
  ['The same without retries:', `MAX_RETRIES=0 ${ask(slow.apiKey)}`],
  ['See the bills of the first key:', tollgate.billsLine(projectId)],
);
