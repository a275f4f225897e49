"use strict";
// What a function works with. `context` is that of the run under way: a worker makes one at a time, a server several.

const { AsyncLocalStorage } = require("node:async_hooks");
const path = require("node:path");

const core = new Set(["id", "source", "type", "specversion", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"]);

/** Thrown for an event that no further attempt can help: it becomes a dead letter. */
class Permanent extends Error {
  get name() { return "Permanent"; }
}

/** Thrown for another attempt, `after` that many seconds if given; it spends no attempt then. */
class Retry extends Error {
  constructor(message = "", after = undefined) {
    super(message);
    this.after = after;
  }
  get name() { return "Retry"; }
}

class Event {
  #raw;
  constructor(raw) {
    this.#raw = raw;
    for (const name of ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"]) this[name] = raw[name];
    this.extensions = Object.fromEntries(Object.entries(raw).filter(([name]) => !core.has(name)));
  }
  /** JSON as values, text as string, everything else as Buffer; undefined is no data. */
  get data() {
    if (typeof this.#raw.data_base64 === "string") return Buffer.from(this.#raw.data_base64, "base64");
    return this.#raw.data;
  }
  get(name, otherwise = undefined) {
    return name === "data" || name === "data_base64" ? otherwise : this.#raw[name] ?? otherwise;
  }
}

/** Says how console.log shows an object. */
const inspect = Symbol.for("nodejs.util.inspect.custom");

class Params {
  #data;
  constructor(data) {
    this.#data = data !== null && typeof data === "object" && !Array.isArray(data) && !Buffer.isBuffer(data) ? data : {};
  }
  get(name, otherwise = undefined) { return Object.hasOwn(this.#data, name) ? this.#data[name] : otherwise; }
  has(name) { return Object.hasOwn(this.#data, name); }
  keys() { return Object.keys(this.#data); }
  toJSON() { return this.#data; }
  [inspect]() { return this.#data; }
}

class Context {
  constructor(run, ask, line) {
    this.event = new Event(run.event);
    this.params = new Params(this.event.data);
    this.config = run.config ?? {};
    this.function = run.function ?? "";
    this.version = run.version ?? "";
    this.link = run.link ?? "";
    this.attempt = run.attempt ?? 1;
    this.isReplay = run.replay ?? false;
    this.run = run.run ?? "";
    this.mount = mount;
    this.events = {
      /** Appends an event to the log and resolves to its id once it is durable. */
      send: async (type, data = undefined, { subject, source, datacontenttype, ...extensions } = {}) => {
        const event = { specversion: "1.0", type, subject, source, datacontenttype };
        for (const [name, value] of Object.entries(extensions)) {
          event[name] = ["string", "boolean"].includes(typeof value) || Number.isInteger(value) ? value : String(value);
        }
        if (ArrayBuffer.isView(data)) {
          event.data_base64 = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
          event.datacontenttype ??= "application/octet-stream";
        } else if (data !== undefined) {
          event.data = data;
          event.datacontenttype ??= "application/json";
        }
        return (await ask({ is: "send", event })).id;
      },
    };
    this.state = {
      get: async (key, otherwise = undefined) => {
        const { value } = await ask({ is: "state", op: "get", key });
        return value === undefined || value === null ? otherwise : JSON.parse(value);
      },
      set: async (key, value) => {
        const text = JSON.stringify(value);
        if (text === undefined) throw new TypeError(`state.set: ${typeof value} is no JSON value; delete(key) removes one`);
        await ask({ is: "state", op: "set", key, value: text });
      },
      delete: async (key) => { await ask({ is: "state", op: "delete", key }); },
    };
    const write = (level) => (message, fields = {}) => line(level, String(message), fields);
    this.log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  }
}

/**
 * Where the file of `spec.mounts` with that path is: below SIGNALBOX_MOUNTS where that is set (programs and scripts), at
 * the path itself in a container.
 */
const mount = (file) => (process.env.SIGNALBOX_MOUNTS ? path.join(process.env.SIGNALBOX_MOUNTS, file) : file);

let current = null;
const calls = new AsyncLocalStorage();

/** Makes `run` the context of the run under way; null ends it. */
const use = (run) => { current = run; };

/** Does `work` with `run` as its context, beside others. */
const within = (run, work) => calls.run(run, work);

const of = () => {
  const run = calls.getStore() ?? current;
  if (run === null) throw new Error("no run is under way: context is there while an event is worked on");
  return run;
};

/** The context of the run under way. */
const context = new Proxy({ [inspect]: () => calls.getStore() ?? current ?? "no run is under way" }, {
  get: (target, name) => (name === inspect ? target[inspect] : of()[name]),
  set: (_, name, value) => { of()[name] = value; return true; },
  has: (_, name) => name in of(),
  deleteProperty: (_, name) => delete of()[name],
});

module.exports = { context, Context, Permanent, Retry, mount, use, within };
