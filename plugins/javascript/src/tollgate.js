// What makes plugins short: decisions with defaults, configuration, cookies, log lines, UTF-8.
// The gateway's functions are the modules tollgate:plugin/…, see types/tollgate-plugin.d.ts.

import configurationBytes from "tollgate:plugin/configuration@0.1.0";
import logging from "tollgate:plugin/log@0.1.0";
import request from "tollgate:plugin/request@0.1.0";

let parsed;

/**
 * The configuration, a JSON object, over defaults. Parsed once: a new configuration means new
 * instances.
 */
export function configuration(defaults) {
  if (parsed === undefined) {
    const text = utf8.decode(configurationBytes.get());
    parsed = { ...defaults, ...(text === "" ? {} : JSON.parse(text)) };
  }
  return parsed;
}

/**
 * The caller may call the method. Optional: `policy` (an IAM policy, as an object), `context`
 * (an object of text, numbers and booleans), `usageIdentifierKey`, `headers` (edits of the
 * request's headers), `timeToLive` (seconds).
 */
export function allow(principalId, { policy, context = {}, usageIdentifierKey, headers = [], timeToLive } = {}) {
  return {
    tag: "allow",
    val: {
      principalId,
      policy: policy === undefined ? null : JSON.stringify(policy),
      context: Object.entries(context).map(([key, value]) => [key, contextValue(value)]),
      usageIdentifierKey: usageIdentifierKey ?? null,
      headers,
      timeToLive: timeToLive ?? null,
    },
  };
}

/** 403. */
export function deny() {
  return { tag: "deny", val: null };
}

/** The reply instead of 403. */
export function denyWith(reply) {
  return { tag: "deny", val: reply };
}

/** 401. */
export function unauthorized() {
  return { tag: "unauthorized" };
}

/** A reply with a JSON body. */
export function json(status, body) {
  return { status, headers: [["content-type", "application/json"]], body: utf8.encode(JSON.stringify(body)) };
}

/** The request's cookies, by name; the first of several of a name. */
export function cookies() {
  const found = new Map();
  for (const header of request.headerValues("cookie")) {
    for (const pair of header.split(";")) {
      const at = pair.indexOf("=");
      const name = pair.slice(0, at).trim();
      if (at > 0 && !found.has(name)) found.set(name, pair.slice(at + 1).trim());
    }
  }
  return found;
}

/** Lines in the gateway's log: `log.info("fetched", { count: 2 })`. */
export const log = Object.fromEntries(
  ["trace", "debug", "info", "warn", "error"].map((level) => [
    level,
    (message, fields = {}) => {
      if (!logging.enabled(level)) return;
      logging.log(level, message, Object.entries(fields).map(([key, value]) => [key, String(value)]));
    },
  ]),
);

/**
 * A function whose exceptions are logged, with the stack in the plugin's source, before they end
 * the call: the trap that follows tells neither.
 */
export function logged(code) {
  return (...values) => {
    try {
      return code(...values);
    } catch (error) {
      log.error(String(error?.message ?? JSON.stringify(error)), { stack: error?.stack ?? "" });
      throw error;
    }
  };
}

/** QuickJS has no TextEncoder. */
export const utf8 = {
  encode(text) {
    const escaped = encodeURIComponent(text);
    const bytes = [];
    for (let at = 0; at < escaped.length; at++) {
      if (escaped[at] === "%") {
        bytes.push(parseInt(escaped.slice(at + 1, at + 3), 16));
        at += 2;
      } else {
        bytes.push(escaped.charCodeAt(at));
      }
    }
    return new Uint8Array(bytes);
  },

  /** Throws a URIError for bytes that are not UTF-8. */
  decode(bytes) {
    const parts = [];
    for (let start = 0; start < bytes.length; ) {
      let end = start;
      while (end < bytes.length && bytes[end] < 0x80 && end - start < 4096) end++;
      if (end > start) {
        parts.push(String.fromCharCode.apply(null, bytes.subarray(start, end)));
      } else {
        while (end < bytes.length && bytes[end] >= 0x80) end++;
        const escaped = Array.from(bytes.subarray(start, end), (byte) => `%${byte.toString(16)}`);
        parts.push(decodeURIComponent(escaped.join("")));
      }
      start = end;
    }
    return parts.join("");
  },
};

function contextValue(value) {
  switch (typeof value) {
    case "number":
      return { tag: "number", val: value };
    case "boolean":
      return { tag: "boolean", val: value };
    default:
      return { tag: "text", val: typeof value === "string" ? value : JSON.stringify(value) };
  }
}
