"use strict";
const { context, Permanent, Retry, mount } = require("./context.cjs");

exports.context = context;
exports.Permanent = Permanent;
exports.Retry = Retry;
exports.mount = mount;
/** A function as an HTTP server; what it needs is loaded with the first call, so that workers of scripts start the faster. */
exports.serve = (...args) => require("./serve.cjs").serve(...args);
