// Sends one event with the CloudEvents SDK: emit.mjs URL binary|structured JSON, with NODE_PATH on the SDK.
//
// JSON is {"attributes": {...}, "data": ...}; data_base64 instead of data sends bytes. Prints the answer as one
// JSON line {"status", "headers", "body"}, with body as text; ends with 1 unless the status is 2xx.
import { createRequire } from "node:module";

// An import does not look at NODE_PATH, require does.
const { CloudEvent, HTTP } = createRequire(import.meta.url)("cloudevents");

const [url, mode, text] = process.argv.slice(2);
const given = JSON.parse(text);
const data = given.data_base64 === undefined ? given.data : Buffer.from(given.data_base64, "base64");
const event = new CloudEvent({ ...given.attributes, data });
const message = { binary: HTTP.binary, structured: HTTP.structured }[mode](event);

const answer = await fetch(url, { method: "POST", headers: message.headers, body: message.body });
const body = await answer.text();
console.log(JSON.stringify({ status: answer.status, headers: Object.fromEntries(answer.headers), body }));
process.exitCode = answer.ok ? 0 : 1;
