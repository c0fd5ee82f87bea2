// An API that detects faces in images. It knows nothing of Tollgate.

import { createServer } from 'node:http';

/** The number of faces of each uploaded image, by the image's id. */
const images = new Map();

async function handle(request, response) {
  const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);

  if (request.url === '/api/detector/upload') {
    const id = `img_${images.size + 1}`;
    images.set(id, 1 + Math.floor(body.length / 2_000_000)); // stands for a model that finds more faces in larger images
    return answer(201, { image_id: id, bytes: body.length });
  }

  const { image_id: id } = JSON.parse(body);
  const faces = images.get(id);
  if (faces === undefined) return answer(404, { error: 'There is no such image. Upload it first.' });
  if (request.url === '/api/detect') return answer(200, { faces: Array.from({ length: faces }, (_, at) => ({ x: 40 * at, y: 30 })) });
  if (request.url === '/api/blur') return answer(200, { image_id: `${id}_blurred`, blurred_faces: faces });
  return answer(404, { error: 'There is no such path.' });
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.writeHead(400).end()); // its body is not complete, or not JSON
});

server.listen(Number(process.env.PORT ?? 8090), '127.0.0.1', () => {
  console.log(`The API is listening on http://127.0.0.1:${server.address().port}`);
});
