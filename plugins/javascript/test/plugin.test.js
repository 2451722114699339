import assert from "node:assert/strict";
import { test } from "node:test";

import { Gateway, imports } from "../testing/gateway.js";

const ID = "5f2d8c1e-session";

/** A plugin whose upstream knows one session. */
async function plugin({ configuration = {}, sessions = { [ID]: { user: "ali", context: { level: 3 } } } } = {}) {
  const gateway = new Gateway({
    configuration: { upstream: "sessions", ...configuration },
    upstreams: {
      sessions: ({ path }) => {
        const session = sessions[path.split("/").at(-1)];
        if (session === undefined) return { status: 404 };
        return typeof session === "number" ? { status: session } : { body: JSON.stringify(session) };
      },
    },
  });
  const { authorization } = await gateway.load("../src/plugin.js");
  const ask = (headers) => gateway.call({ headers }, () => authorization.authorize());
  return { gateway, ask };
}

test("a session becomes a header, and its cookie doesn't go on", async () => {
  const { ask } = await plugin();
  const decision = ask({ cookie: `theme=dark; session=${ID}; lang=nl` });
  assert.equal(decision.tag, "allow");
  assert.equal(decision.val.principalId, "ali");
  assert.deepEqual(decision.val.context, [["level", { tag: "number", val: 3 }]]);
  assert.deepEqual(decision.val.headers, [
    { tag: "set", val: ["x-session-user", "ali"] },
    { tag: "set", val: ["cookie", "theme=dark; lang=nl"] },
  ]);
});

test("a request with nothing but the session's cookie goes on without cookies", async () => {
  const { ask } = await plugin({ configuration: { header: "x-user", cookie: "sid" } });
  assert.deepEqual(ask({ cookie: `sid=${ID}` }).val.headers, [
    { tag: "set", val: ["x-user", "ali"] },
    { tag: "remove", val: "cookie" },
  ]);
});

test("a session is asked for once, and again when the answer is old", async () => {
  const { gateway, ask } = await plugin();
  for (let i = 0; i < 3; i++) ask({ cookie: `session=${ID}` });
  assert.equal(gateway.fetches.length, 1);
  assert.equal(gateway.fetches[0].path, `/sessions/${ID}`);
  gateway.advance(60_000);
  ask({ cookie: `session=${ID}` });
  assert.equal(gateway.fetches.length, 2);
});

test("no session is unauthorized, and is not asked for again", async () => {
  const { gateway, ask } = await plugin();
  for (let i = 0; i < 2; i++) assert.equal(ask({ cookie: "session=unknown-session" }).tag, "unauthorized");
  assert.equal(gateway.fetches.length, 1);
  assert.equal(ask({}).tag, "unauthorized");
  assert.equal(ask({ cookie: "session=../../admin" }).tag, "unauthorized");
  assert.equal(gateway.fetches.length, 1);
});

test("an upstream that fails means 503, and is asked again", async () => {
  const { gateway, ask } = await plugin({ sessions: { [ID]: 500 } });
  for (let i = 0; i < 2; i++) {
    const decision = ask({ cookie: `session=${ID}` });
    assert.equal(decision.tag, "deny");
    assert.equal(decision.val.status, 503);
  }
  assert.equal(gateway.fetches.length, 2);
  assert.equal(gateway.logLines[0], "ERROR the session can't be looked up error=status 500");
});

test("a configuration that says nothing of sessions is named as the reason", async () => {
  const { gateway, ask } = await plugin({ configuration: { upstream: undefined } });
  assert.equal(ask({ cookie: `session=${ID}` }).val.status, 503);
  assert.match(gateway.logLines[0], /neither "upstream" nor "sessions"/);
});

test("sessions may stand in the configuration", async () => {
  const { gateway, ask } = await plugin({ configuration: { sessions: { [ID]: { user: "zoë" } } } });
  assert.equal(ask({ cookie: `session=${ID}` }).val.principalId, "zoë");
  assert.equal(ask({ cookie: "session=toString-" }).tag, "unauthorized");
  assert.equal(gateway.fetches.length, 0);
});

test("UTF-8 is read and written whole", async () => {
  const gateway = new Gateway();
  const { utf8 } = await gateway.load("../src/tollgate.js");
  for (const text of ["", "a", "€ zoë 🦉", "x".repeat(10_000) + "é"]) {
    assert.deepEqual(utf8.encode(text), new TextEncoder().encode(text));
    assert.equal(utf8.decode(new TextEncoder().encode(text)), text);
  }
  assert.throws(() => utf8.decode(new Uint8Array([0xff])), URIError);
});

test("the played gateway packs headers as lengths and bytes", () => {
  const gateway = new Gateway();
  const packed = gateway.call({ headers: { "X-A": "é" } }, () => imports.request.packedHeaders());
  assert.deepEqual([...packed], [3, 0, 0, 0, 2, 0, 0, 0, ...Buffer.from("x-aé")]);
});
