// Signs a webhook with GitHub's own library (octokit).
//
// sign.mjs MODULES SECRET < body   prints the headers as JSON; MODULES is the folder node_modules.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, secret] = process.argv.slice(2);
const folder = pathToFileURL(`${modules}/@octokit/webhooks-methods/`);
const { exports } = JSON.parse(readFileSync(new URL("package.json", folder)));
// Node resolves bare names from this file's own folders only, where the package is not.
const entry = (of) => (typeof of === "string" ? of : entry(of["."] ?? of.node ?? of.import ?? of.default));
const { sign } = await import(new URL(entry(exports), folder));
console.log(JSON.stringify({ "X-Hub-Signature-256": await sign(secret, readFileSync(0, "utf8")) }));
