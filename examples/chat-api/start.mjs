// A chat API behind Tollgate. It streams its answers, and Tollgate bills the tokens that the last event of an answer reports.
// Run it with `node examples/chat-api/start.mjs`.

import { CREDIT, invite, startProgram, startTollgate } from '../tollgate.mjs';
import { API_FILE, chatRoute } from './route.mjs';

const upstreamUrl = await startProgram(API_FILE);
const tollgate = await startTollgate();

await tollgate.createRoute(chatRoute(upstreamUrl));
const { projectId, apiKey } = await tollgate.createProject({ name: 'Kiosk', service: 'chat', budget: CREDIT });

const curl = `curl -sSN ${tollgate.url}/v1/chat/completions -H 'Authorization: Bearer ${apiKey}' -H 'Content-Type: application/json'`;
const body = (options) => {
  const messages = [
    { role: 'system', content: 'You repeat what people say.' },
    { role: 'user', content: 'To be, or not to be, that is the question.' },
  ];
  return `-d '${JSON.stringify({ model: 'parrot', messages, ...options })}'`;
};
invite(
  ['Ask for an answer:', `${curl} ${body()}`],
  ['Ask for a stream:', `${curl} ${body({ stream: true, stream_options: { include_usage: true } })}`],
  ['See the bills. 15 tokens in cost 2.25 micro-credits, 10 tokens out cost 6, so a call costs 9:', tollgate.billsLine(projectId)],
);
