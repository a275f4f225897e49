"use strict";
// A function as an HTTP server, for programs and containers.

const http = require("node:http");
const { Context, Permanent, Retry, within } = require("./context.cjs");
const { NotAnEvent, asJSON, batch, headersOf, parse, replyOf } = require("./cloudevents.cjs");

/** The largest body that is taken, in bytes. */
const maxBody = 64 << 20;

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const bodyOf = async (request) => {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    if ((size += chunk.length) > maxBody) throw new Refused(413, `the body has more than ${maxBody} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

const line = (level, msg, named, fields) => {
  process.stdout.write(JSON.stringify({ time: new Date().toISOString(), level, msg, ...named, ...fields }) + "\n");
};

/** What tells the lines of one run from those of another. */
const namesOf = (headers, raw) => {
  const named = { event: raw.id };
  if (headers["signalbox-run"]) named.run = headers["signalbox-run"];
  const trace = (headers.traceparent ?? "").split("-");
  if (trace.length === 4) named.trace_id = trace[1];
  return named;
};

const onlyScripts = async () => { throw new Error("context.events and context.state are for scripts; a server returns its replies"); };

class Server {
  #handler;
  #function = process.env.SIGNALBOX_FUNCTION || "function";
  #version = process.env.SIGNALBOX_FUNCTION_VERSION ?? "";
  #config = JSON.parse(process.env.SIGNALBOX_CONFIG || "{}") ?? {};
  draining = false;

  constructor(handler) { this.#handler = handler; }

  async handle(request, response) {
    try {
      if (request.method === "GET" || request.method === "HEAD") return this.#health(request, response);
      if (request.method !== "POST") return this.#answer(response, 405, { Allow: "GET, HEAD, POST" }, "want POST\n");
      await this.#post(request, response);
    } catch (fault) {
      if (fault instanceof NotAnEvent) return this.#answer(response, 400, {}, `no CloudEvent: ${fault.message}\n`);
      if (fault instanceof Refused) return this.#answer(response, fault.status, { Connection: "close" }, fault.message + "\n");
      if (!request.complete) return response.destroy(); // the caller went away: nothing to say
      this.#failed(response, fault, {});
    }
  }

  #health(request, response) {
    if (!["/healthz", "/readyz"].includes(request.url)) return this.#answer(response, 404, {}, "not found\n");
    if (this.draining) return this.#answer(response, 503, {}, "stopping\n");
    this.#answer(response, 200, {}, "ok\n");
  }

  async #post(request, response) {
    const events = parse(request.headers, await bodyOf(request));
    const replies = [];
    for (const raw of events) {
      const named = namesOf(request.headers, raw);
      try {
        replies.push(...await this.#one(request.headers, raw, named));
      } catch (fault) {
        return this.#failed(response, fault, named);
      }
    }
    if (replies.length === 0) return this.#answer(response, 204, {});
    if (replies.length === 1) return this.#answer(response, 200, headersOf(replies[0]), replies[0].body);
    this.#answer(response, 200, { "Content-Type": batch }, JSON.stringify(replies.map(asJSON)));
  }

  async #one(headers, raw, named) {
    const context = new Context({
      event: raw, config: this.#config, function: this.#function, version: this.#version, run: named.run,
      link: headers["signalbox-link"], attempt: Number(headers["signalbox-attempt"] ?? 1), replay: headers["signalbox-replay"] === "true",
    }, onlyScripts, (level, message, fields) => line(level, message, named, fields));
    const answer = await within(context, async () => this.#handler(context.event));
    if (answer === undefined || answer === null) return [];
    return [answer].flat().map((reply, i) => replyOf(reply, { id: `${raw.id}-${i}`, source: `/functions/${this.#function}` }));
  }

  #failed(response, fault, named) {
    const told = fault instanceof Error ? `${fault.name}: ${fault.message}` : String(fault);
    line("error", told, named, fault instanceof Error ? { trace: fault.stack } : {});
    if (fault instanceof Permanent) return this.#answer(response, 422, {}, told);
    if (!(fault instanceof Retry)) return this.#answer(response, 500, {}, told);
    this.#answer(response, 503, fault.after === undefined ? {} : { "Retry-After": String(Math.max(1, Math.ceil(fault.after))) }, told);
  }

  #answer(response, status, headers, body) {
    const all = { ...headers };
    if (body !== undefined && all["Content-Type"] === undefined && all["ce-type"] === undefined) all["Content-Type"] = "text/plain; charset=utf-8";
    if (this.draining) all.Connection = "close";
    response.writeHead(status, all).end(body);
  }
}

const serve = (handler, { host = process.env.SIGNALBOX_HOST || undefined, port = Number(process.env.PORT || 8080), drain = 30 } = {}) =>
  new Promise((resolve, reject) => {
    const functions = new Server(handler);
    const server = http.createServer((request, response) => { functions.handle(request, response); });
    server.keepAliveTimeout = 0; // the caller decides how long a connection is of use
    server.requestTimeout = 0;
    server.on("error", reject);
    const stop = () => {
      if (functions.draining) return;
      functions.draining = true;
      const late = setTimeout(() => {
        line("warn", `calls under way did not end within ${drain} s`, {}, {});
        server.closeAllConnections?.();
      }, drain * 1000);
      server.close(() => {
        clearTimeout(late);
        for (const signal of ["SIGTERM", "SIGINT"]) process.off(signal, stop);
        resolve();
      });
      server.closeIdleConnections?.();
    };
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop);
    server.listen(port, host);
  });

module.exports = { serve };
