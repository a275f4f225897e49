"use strict";
// Tests of the package, by the runtime only: node --test test/

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const http = require("node:http");
const net = require("node:net");
const { once } = require("node:events");
const { test } = require("node:test");
const { context, mount } = require("../index.cjs");
const { NotAnEvent, decodeHeader, encodeHeader, parse, replyOf } = require("../cloudevents.cjs");

const program = `
const { Permanent, Retry, context, serve } = require(process.argv[1]);
serve(async (event) => {
  const how = context.params.get("how");
  await null; // the context is that of the call behind an await too
  context.log.info("working", { how, attempt: context.attempt });
  switch (how) {
    case "permanent": throw new Permanent("never");
    case "later": throw new Retry("soon", 1.2);
    case "again": throw new Retry("soon");
    case "wrong": throw new TypeError("x");
    case "none": return;
    case "slow": await new Promise((resolve) => setTimeout(resolve, 1000)); return { type: "com.example.slow" };
    case "two": return [{ type: "com.example.one", data: Buffer.from([0, 255]) }, { type: "com.example.two", data: { a: 1 } }];
  }
  return { type: "com.example.done", data: { of: event.subject, width: context.config.width }, subject: "Euro €", tenant: true };
});
`;

const freePort = async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
};

/** A program that serves, in a process of its own. */
const serveIt = async () => {
  const port = await freePort();
  const child = spawn(process.execPath, ["-e", program, require.resolve("../index.cjs")], {
    env: { ...process.env, PORT: String(port), SIGNALBOX_HOST: "127.0.0.1", SIGNALBOX_FUNCTION: "f", SIGNALBOX_CONFIG: '{"width": 200}' },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for (;;) {
    const answered = await new Promise((resolve) => {
      const s = net.connect(port, "127.0.0.1", () => { s.destroy(); resolve(true); });
      s.on("error", () => resolve(false));
    });
    if (answered) return { port, child };
    if (child.exitCode !== null) throw new Error("it did not start");
  }
};

const attributes = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/t", "ce-type": "com.example.asked", "content-type": "application/json" };

const post = (port, data, headers = {}, agent = undefined) => new Promise((resolve, reject) => {
  const request = http.request({ port, host: "127.0.0.1", method: "POST", headers: { ...attributes, ...headers }, agent }, async (response) => {
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString(), reused: request.reusedSocket });
  });
  request.on("error", reject);
  request.end(typeof data === "string" ? data : JSON.stringify(data));
});

const get = (port, path) => new Promise((resolve, reject) => {
  http.get({ port, host: "127.0.0.1", path }, (response) => { response.resume(); resolve(response.statusCode); }).on("error", reject);
});

// Hooks of the oldest runtimes are not to be relied on: the first test starts what the last one ends.
let served;
test("a program serves", async () => { served = await serveIt(); });

test("a reply is a binary event with encoded headers", async () => {
  const { status, headers, body } = await post(served.port, { how: "" }, { "ce-subject": "a%20b" });
  assert.equal(status, 200);
  assert.deepEqual(JSON.parse(body), { of: "a b", width: 200 });
  const { "ce-type": type, "ce-id": id, "ce-source": source, "ce-subject": subject, "ce-tenant": tenant } = headers;
  assert.deepEqual({ type, id, source, subject, tenant }, { type: "com.example.done", id: "1-0", source: "/functions/f", subject: "Euro%20%E2%82%AC", tenant: "true" });
});

test("several replies are a batch", async () => {
  const { headers, body } = await post(served.port, { how: "two" });
  assert.equal(headers["content-type"], "application/cloudevents-batch+json");
  const [one, two] = JSON.parse(body);
  assert.deepEqual([one.data_base64, one.id, two.data, two.id], ["AP8=", "1-0", { a: 1 }, "1-1"]);
});

for (const [how, status, after] of [["none", 204], ["permanent", 422], ["later", 503, "2"], ["again", 503], ["wrong", 500]]) {
  test(`outcome ${how}`, async () => {
    const answer = await post(served.port, { how });
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [status, after]);
    assert.ok(!answer.body.includes(" at "), answer.body);
  });
}

test("a structured event and a batch of one", async () => {
  const event = { specversion: "1.0", id: "7", source: "/t", type: "t", subject: "s", data: { how: "" } };
  for (const [media, value] of [["application/cloudevents+json", event], ["application/cloudevents-batch+json; charset=utf-8", [event]]]) {
    const { status, headers, body } = await post(served.port, value, { "content-type": media });
    assert.deepEqual([status, headers["ce-id"], JSON.parse(body).of], [200, "7-0", "s"]);
  }
});

test("what is no event is refused", async () => {
  for (const headers of [{ "ce-type": "" }, { "ce-specversion": "0.3" }, { "content-type": "application/cloudevents+json" }]) {
    assert.equal((await post(served.port, "[1", headers)).status, 400);
  }
});

test("health, and other paths and methods", async () => {
  assert.equal(await get(served.port, "/healthz"), 200);
  assert.equal(await get(served.port, "/x"), 404);
});

test("a connection is kept", async () => {
  const agent = new http.Agent({ keepAlive: true });
  await post(served.port, {}, {}, agent);
  assert.ok((await post(served.port, {}, {}, agent)).reused);
  agent.destroy();
});

test("a call under way is answered before the end", async () => {
  const { port, child } = await serveIt();
  const called = post(port, { how: "slow" }, { "signalbox-run": "r-1", traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" });
  const [line] = await once(child.stdout, "data"); // the call is under way
  const { level, msg, run, event, how, attempt, trace_id } = JSON.parse(line);
  assert.deepEqual([level, msg, run, event, how, attempt, trace_id], ["info", "working", "r-1", "1", "slow", 1, "0af7651916cd43dd8448eb211c80319c"]);
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  assert.equal((await called).headers["ce-type"], "com.example.slow");
  assert.deepEqual(await exited, [0, null]);
});

test("headers survive encoding", () => {
  for (const value of ["plain", "a b", 'q"uo%te', "Euro € 😀", "ü"]) assert.equal(decodeHeader(encodeHeader(value)), value);
  assert.equal(decodeHeader('"a\\"b"'), 'a"b');
});

test("data is as its type says", () => {
  const of = (type, body) => parse({ ...attributes, "content-type": type }, Buffer.from(body))[0].data;
  assert.deepEqual(of("application/json", "[1]"), [1]);
  assert.equal(of("text/plain", "ü"), "ü");
  assert.deepEqual(of("image/png", "x"), Buffer.from("x"));
  assert.equal(of("application/json", ""), undefined);
  assert.throws(() => of("application/json", "{"), NotAnEvent);
});

test("a wrong attribute is the author's error", () => {
  assert.throws(() => replyOf({ type: "t", Upper: 1 }, {}), TypeError);
});

test("there is no context without a run", () => {
  assert.throws(() => context.event, /no run is under way/);
});

test("a mount lies below its root", () => {
  assert.equal(mount("/etc/token"), "/etc/token");
  process.env.SIGNALBOX_MOUNTS = "/private";
  try {
    assert.equal(mount("/etc/token"), "/private/etc/token");
  } finally {
    delete process.env.SIGNALBOX_MOUNTS;
  }
});

test("the end takes no time without calls", async () => {
  const exited = once(served.child, "exit");
  served.child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});
