"use strict";
// CloudEvents 1.0 over HTTP: what a server reads and answers (the HTTP binding and the JSON format).

const structured = "application/cloudevents+json";
const batch = "application/cloudevents-batch+json";

class NotAnEvent extends Error {}

const mediaOf = (contentType) => (contentType ?? "").split(";")[0].trim().toLowerCase();

const isJSON = (contentType) => {
  const media = mediaOf(contentType);
  return media === "application/json" || media === "text/json" || media.endsWith("+json");
};

/** A header's value as the binding says: percent-encoded UTF-8, perhaps in double quotes. */
const decodeHeader = (value) => {
  const bare = value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
  const bytes = Buffer.from(bare.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16))), "latin1");
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
};

const encodeHeader = (value) => value.replace(/[^\x21\x23\x24\x26-\x7e]/gu, (c) => [...Buffer.from(c)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, "0")}`).join(""));

const checked = (raw) => {
  if (raw === null || typeof raw !== "object" || Array.isArray(raw)) throw new NotAnEvent("an event that is no JSON object");
  if (raw.specversion !== "1.0") throw new NotAnEvent(`specversion ${raw.specversion}: want 1.0`);
  for (const name of ["id", "source", "type"]) {
    if (typeof raw[name] !== "string" || raw[name] === "") throw new NotAnEvent(`${name}: missing`);
  }
  return raw;
};

const dataOf = (contentType, body) => {
  if (body.length === 0) return undefined;
  if (contentType === undefined) return body;
  if (isJSON(contentType)) return JSON.parse(body.toString());
  if (contentType.toLowerCase().startsWith("text/")) return new TextDecoder("utf-8", { fatal: true }).decode(body);
  return body;
};

/** The events of a request in any of the three modes. `data` is JSON as values, text as string, everything else as Buffer. */
const parse = (headers, body) => {
  try {
    const contentType = headers["content-type"];
    switch (mediaOf(contentType)) {
      case batch: {
        const all = JSON.parse(body.toString());
        if (!Array.isArray(all)) throw new NotAnEvent("a batch that is no list");
        return all.map(checked);
      }
      case structured:
        return [checked(JSON.parse(body.toString()))];
    }
    const raw = {};
    for (const [name, value] of Object.entries(headers)) if (name.startsWith("ce-")) raw[name.slice(3)] = decodeHeader(value);
    if (contentType !== undefined) raw.datacontenttype = contentType;
    const data = dataOf(contentType, body);
    if (data !== undefined) raw.data = data;
    return [checked(raw)];
  } catch (fault) {
    throw fault instanceof NotAnEvent ? fault : new NotAnEvent(fault.message); // JSON and UTF-8 that are none
  }
};

/** What a handler returned, as attributes and a body. */
const replyOf = ({ type, data, datacontenttype, ...rest }, given) => {
  if (typeof type !== "string" || type === "") throw new TypeError("a reply without a type: want {type, data}");
  const attributes = { specversion: "1.0", type };
  for (const [name, value] of Object.entries({ ...given, ...rest })) {
    if (value === undefined || value === null) continue;
    if (!/^[a-z0-9]+$/.test(name)) throw new TypeError(`attribute ${JSON.stringify(name)}: want lower-case letters and digits`);
    attributes[name] = value instanceof Date ? value.toISOString() : String(value);
  }
  let body;
  if (ArrayBuffer.isView(data)) {
    body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    datacontenttype ??= "application/octet-stream";
  } else if (typeof data === "string" && datacontenttype !== undefined && !isJSON(datacontenttype)) {
    body = Buffer.from(data);
  } else if (data !== undefined) {
    body = Buffer.from(JSON.stringify(data));
    datacontenttype ??= "application/json";
  }
  if (datacontenttype !== undefined) attributes.datacontenttype = datacontenttype;
  return { attributes, body };
};

const headersOf = ({ attributes: { datacontenttype, ...rest } }) => {
  const headers = Object.fromEntries(Object.entries(rest).map(([name, value]) => [`ce-${name}`, encodeHeader(value)]));
  if (datacontenttype !== undefined) headers["Content-Type"] = datacontenttype;
  return headers;
};

const asJSON = ({ attributes, body }) => {
  if (body === undefined) return attributes;
  return isJSON(attributes.datacontenttype) ? { ...attributes, data: JSON.parse(body) } : { ...attributes, data_base64: body.toString("base64") };
};

module.exports = { NotAnEvent, asJSON, batch, decodeHeader, encodeHeader, headersOf, parse, replyOf };
