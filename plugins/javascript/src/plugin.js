// A cookie session becomes a header: the session of the request's cookie is looked up, and the
// request goes on with the user's name in a header and without the cookie.
//
// Configuration:
//
//   {"cookie": "session",                   // the cookie's name
//    "header": "x-session-user",            // what the backend gets; never from the client
//    "upstream": "sessions",                // who knows the sessions: an upstream of the gateway
//    "path": "/sessions/{id}",              // GET; 200 with {"user": …, "context": {…}}, or 404
//    "timeoutMilliseconds": 1000,
//    "cacheSeconds": 60,                    // how long an answer is used
//    "sessions": {"ID": {"user": "ali"}}}   // instead of an upstream, to try it out
//
// No cookie, or a session that isn't there: 401. No answer from the upstream: 503.

import keyValue from "tollgate:plugin/key-value@0.1.0";
import fetch from "tollgate:plugin/fetch@0.1.0";
import request from "tollgate:plugin/request@0.1.0";
import { allow, configuration, cookies, denyWith, json, log, logged, unauthorized, utf8 } from "./tollgate.js";

const DEFAULTS = {
  cookie: "session",
  header: "x-session-user",
  path: "/sessions/{id}",
  timeoutMilliseconds: 1000,
  cacheSeconds: 60,
};

// Ids of other characters can't be ours, and don't belong in a path or a cache.
const SESSION_ID = /^[A-Za-z0-9._~-]{8,128}$/;

export const authorization = { authorize: logged(authorize) };

function authorize() {
  const settings = configuration(DEFAULTS);
  const sent = cookies();
  const id = sent.get(settings.cookie);
  if (id === undefined || !SESSION_ID.test(id)) return unauthorized();

  let session;
  try {
    session = find(id, settings);
  } catch (error) {
    log.error("the session can't be looked up", { error: describe(error) });
    return denyWith(json(503, { message: "Service Unavailable" }));
  }
  if (session === null) return unauthorized();

  sent.delete(settings.cookie);
  const rest = [...sent].map(([name, value]) => `${name}=${value}`).join("; ");
  return allow(session.user, {
    context: session.context,
    timeToLive: settings.cacheSeconds,
    headers: [
      { tag: "set", val: [settings.header, session.user] },
      rest === "" ? { tag: "remove", val: "cookie" } : { tag: "set", val: ["cookie", rest] },
    ],
  });
}

/** The session, or null where there is none. Throws where that can't be known. */
function find(id, settings) {
  if (settings.sessions !== undefined) {
    return Object.hasOwn(settings.sessions, id) ? settings.sessions[id] : null;
  }
  const key = `session ${id}`;
  const kept = keyValue.get(key);
  if (kept !== null) return JSON.parse(utf8.decode(kept.value));
  if (typeof settings.upstream !== "string") {
    throw new Error('the configuration has neither "upstream" nor "sessions"');
  }

  const path = settings.path.replace("{id}", id);
  const question = { method: "GET", path, headers: [["accept", "application/json"]], body: new Uint8Array() };
  const answer = fetch.send(settings.upstream, question, settings.timeoutMilliseconds);
  const session = read(answer);
  try {
    keyValue.set(key, utf8.encode(JSON.stringify(session)), settings.cacheSeconds * 1000);
  } catch {
    log.warn("the key-value store is full: sessions are not kept", { path: request.path() });
  }
  return session;
}

function read(answer) {
  if (answer.status === 404) return null;
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  const session = JSON.parse(utf8.decode(answer.body));
  if (typeof session.user !== "string") throw new Error("the session has no user");
  return { user: session.user, context: session.context ?? {} };
}

/** What a failed import throws is the WIT error: {tag, val}. */
function describe(error) {
  if (error instanceof Error) return error.message;
  return [error?.tag, error?.val].filter((part) => part !== undefined).join(": ");
}
