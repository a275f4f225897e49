"use strict";
// Runs the scripts of one function, event after event.
//
// node worker.cjs FILE...   speaks with Signalbox over the descriptors 3 (in) and 4 (out): frames of four bytes length,
// big-endian, and that much JSON. Standard output and error are the function's own.

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const vm = require("node:vm");
const Module = require("node:module");
const { pathToFileURL } = require("node:url");
const sdk = require("./context.cjs");

const tell = (message) => {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  const frame = Buffer.concat([head, body]);
  for (let at = 0; at < frame.length;) at += fs.writeSync(4, frame, at);
};

// Frames are read as a stream, so that timers and promises of a script go on meanwhile.
const waiting = [];
let buffered = Buffer.alloc(0);
// A file stream would read in a thread, for which process.exit waits.
const input = new net.Socket({ fd: 3, readable: true, writable: false });
input.on("data", (chunk) => {
  buffered = buffered.length ? Buffer.concat([buffered, chunk]) : chunk;
  while (buffered.length >= 4 && buffered.length >= 4 + buffered.readUInt32BE()) {
    const end = 4 + buffered.readUInt32BE();
    const message = JSON.parse(buffered.subarray(4, end));
    buffered = buffered.subarray(end);
    if (message.do === "run") run(message);
    else waiting.shift()(message);
  }
});
input.on("end", () => process.exit(1)); // Signalbox is gone

const ask = (message) => new Promise((resolve, reject) => {
  tell(message); // first: what is no JSON is thrown, and has no answer to wait for
  waiting.push((answer) => (answer.error ? reject(new Error(answer.error)) : resolve(answer)));
});

// shown is the value of a field as people read it.
const shown = (v) => (v !== null && typeof v === "object" && !(v instanceof Error) ? JSON.stringify(v) : String(v));

const line = (level, message, fields) => {
  tell({ is: "log", level, message: message + Object.entries(fields).map(([k, v]) => ` ${k}=${shown(v)}`).join("") });
};

// That import() in a script is new in Node is no matter of the script's.
const warn = process.emitWarning;
process.emitWarning = (warning, ...rest) => {
  if (!String(warning).includes("USE_MAIN_CONTEXT_DEFAULT_LOADER")) warn.call(process, warning, ...rest);
};

// `require("signalbox")` is this package, wherever the script lies.
const resolveName = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  return name === "signalbox" ? require.resolve("./index.cjs") : resolveName.call(this, name, ...rest);
};

const compiled = new Map();
const compile = (file) => {
  let work = compiled.get(file);
  if (work) return work;
  if (file.endsWith(".mjs")) {
    work = async () => {
      const main = (await import(pathToFileURL(file))).default;
      if (typeof main !== "function") throw new Error(`${path.basename(file)}: want export default, a function of context`);
      await main(sdk.context);
    };
  } else {
    const require = Module.createRequire(path.resolve(file));
    // One line, so that line numbers are the script's own.
    const head = "(async function (require, module, exports, __filename, __dirname) {";
    const source = `${head}${fs.readFileSync(file, "utf8")}\n})`;
    const body = vm.runInThisContext(source, { filename: file, columnOffset: -head.length, importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER });
    work = () => {
      const module = { exports: {} };
      return body(require, module, module.exports, path.resolve(file), path.dirname(path.resolve(file)));
    };
  }
  compiled.set(file, work);
  return work;
};

const files = process.argv.slice(2);
const home = process.cwd(); // where each script begins, wherever the one before went

let running = false;

const run = async (message) => {
  let told = { is: "done" };
  running = true;
  try {
    sdk.use(new sdk.Context(message, ask, line));
    for (const file of files) {
      if (process.cwd() !== home) process.chdir(home);
      await compile(file)();
    }
  } catch (error) {
    told = failure(error);
    process.stderr.write(told.trace + "\n");
  }
  sdk.use(null);
  await new Promise((resolve) => process.stdout.write("", resolve)); // what was printed goes first
  running = false;
  tell(told);
};

// A script that says process.exit(0) is done, and the worker with it. Any other code is a failed run: the worker is gone.
process.on("exit", (code) => {
  if (!running || code !== 0) return;
  const error = "the script has called process.exit before an answer was there: await events.send and state";
  tell(waiting.length === 0 ? { is: "done", ended: true } : { is: "failed", ended: true, error, trace: error });
});

// traceOf leaves out where this package, and Node itself, have called the script.
const traceOf = (stack) => {
  const ours = (l) => /^\s+at /.test(l) && (l.includes(__dirname + path.sep) || l.includes("node:"));
  return String(stack).split("\n").filter((l) => !ours(l)).join("\n");
};

// hintFor says what to do about a mistake that many make, "" about others.
const hintFor = (error) => (error instanceof SyntaxError && /import statement outside|Unexpected token 'export'/.test(error.message)
  ? '\na script uses require("signalbox"); what uses import is named .mjs and has export default async (context) => {…}' : "");

const failure = (error) => {
  const isError = error instanceof Error;
  const told = { is: "failed", error: isError ? `${error.name}: ${error.message}` : String(error), trace: (traceOf(isError ? error.stack : error) + hintFor(error)).slice(0, 4000) };
  if (error instanceof sdk.Permanent) told.permanent = true;
  if (error instanceof sdk.Retry && error.after !== undefined) told.after = error.after;
  return told;
};

// A promise that nobody awaited: the run it belongs to may be over, so the worker ends, and with it what is under way.
process.on("unhandledRejection", (error) => {
  process.stderr.write(`a promise was rejected that nobody awaited: ${failure(error).trace}\n`);
  process.exit(1);
});

tell({ is: "ready", runtime: `node ${process.versions.node}` });
