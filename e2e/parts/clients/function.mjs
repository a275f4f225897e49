// A function that receives and answers with the CloudEvents SDK, with NODE_PATH on it. Set by the environment:
//
// PORT           the loopback port to listen on
// CE_REPLY_TYPE  the type of the event it answers with; unset: 202 and an empty body
// CE_REPLY_MODE  binary (default) or structured
// RECORD         a file that gets each event as a JSON line, in the JSON event format
import { appendFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

// An import does not look at NODE_PATH, require does.
const { CloudEvent, HTTP } = createRequire(import.meta.url)("cloudevents");

const { PORT, RECORD, CE_REPLY_TYPE, CE_REPLY_MODE } = process.env;

// The SDK's JSON parser wants a text; other data it leaves as it is given.
function bodyOf(request, bytes) {
  if (bytes.length === 0) return undefined;
  return /json|^text\//.test(request.headers["content-type"]) ? bytes.toString() : bytes;
}

function answer(request, bytes) {
  const event = HTTP.toEvent({ headers: request.headers, body: bodyOf(request, bytes) });
  if (RECORD) appendFileSync(RECORD, JSON.stringify(event) + "\n");
  if (!CE_REPLY_TYPE) return { status: 202, headers: {}, body: "" };
  const reply = new CloudEvent({
    type: CE_REPLY_TYPE,
    source: "/clients/javascript",
    datacontenttype: "application/json",
    data: { got: event.id, type: event.type },
  });
  const message = CE_REPLY_MODE === "structured" ? HTTP.structured(reply) : HTTP.binary(reply);
  return { status: 200, ...message };
}

http
  .createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      let result;
      try {
        result = request.url === "/health" ? { status: 200, headers: {}, body: "" } : answer(request, Buffer.concat(chunks));
      } catch (error) {
        result = { status: 400, headers: { "content-type": "text/plain" }, body: String(error) };
      }
      response.writeHead(result.status, result.headers).end(result.body);
    });
  })
  .listen(Number(PORT), "127.0.0.1");
