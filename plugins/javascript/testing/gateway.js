// The gateway, played for tests with node.
//
//   const gateway = new Gateway({ configuration: { … }, upstreams: { sessions: (request) => … } });
//   const plugin = await gateway.load("../src/plugin.js");
//   const decision = gateway.call({ headers: { cookie: "session=…" } }, plugin.authorization.authorize);

const encode = (text) => new TextEncoder().encode(text);

let instances = 0;

/** What the call that runs is about. */
let current;

const call = () => {
  if (current === undefined) throw new Error("outside of a call: use Gateway.call");
  return current;
};

const first = (pairs, name) => pairs.find(([key]) => key === name)?.[1] ?? null;
const all = (pairs, name) => pairs.filter(([key]) => key === name).map(([, value]) => value);

const packed = (pairs) =>
  Uint8Array.from(
    pairs.flatMap((pair) => {
      const parts = pair.map(encode);
      const lengths = new Uint32Array(parts.map((part) => part.length));
      return [...new Uint8Array(lengths.buffer), ...parts[0], ...parts[1]];
    }),
  );

const message = (part) => ({
  header: (name) => first(part().headers, name.toLowerCase()),
  headerValues: (name) => all(part().headers, name.toLowerCase()),
  headers: () => part().headers,
  packedHeaders: () => packed(part().headers),
});

/** The modules tollgate:plugin/…: each function as types/tollgate-plugin.d.ts says. */
export const imports = {
  request: {
    ...message(() => call().request),
    method: () => call().request.method,
    path: () => call().request.path,
    queryString: () => call().request.query,
    resource: () => call().request.resource,
    stage: () => "test",
    apiId: () => "testapi",
    requestId: () => "00000000-0000-0000-0000-000000000001",
    methodArn: () =>
      `arn:aws:execute-api:us-east-1:123456789012:testapi/test/${call().request.method}${call().request.path}`,
    queryParameter: (name) => new URLSearchParams(call().request.query).get(name),
    queryParameters: () => [...new URLSearchParams(call().request.query)],
    pathParameter: (name) => first(call().request.pathParameters, name),
    pathParameters: () => call().request.pathParameters,
    stageVariable: (name) => first(call().request.stageVariables, name),
    stageVariables: () => call().request.stageVariables,
    sourceAddress: () => call().request.sourceAddress,
    isTls: () => false,
    clientCertificate: () => null,
    context: (name) => call().request.context[name] ?? null,
    body: () => call().request.body,
  },
  response: { ...message(() => call().response), status: () => call().response.status },
  exchange: {
    get: (key) => call().request.values.get(key) ?? null,
    set: (key, value) => {
      call().request.values.set(key, value);
      return true;
    },
  },
  configuration: { get: () => call().gateway.configuration },
  log: {
    enabled: () => true,
    log: (level, text, fields) => {
      const pairs = fields.map(([key, value]) => ` ${key}=${value}`);
      call().gateway.logLines.push(`${level.toUpperCase()} ${text}${pairs.join("")}`);
    },
  },
  clock: {
    now: () => call().gateway.milliseconds * 1e6,
    monotonic: () => call().gateway.milliseconds * 1e6,
  },
  random: {
    bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    number: () => Math.floor(Math.random() * Number.MAX_SAFE_INTEGER),
  },
  "key-value": {
    get: (key) => {
      const entry = call().gateway.entries.get(key);
      if (entry === undefined || entry.expires <= call().gateway.milliseconds) return null;
      return { value: entry.value, version: entry.version };
    },
    set: (key, value, timeToLiveMs) => call().gateway.put(key, value, timeToLiveMs),
    compareAndSwap: (key, version, value, timeToLiveMs) => {
      const found = imports["key-value"].get(key)?.version ?? 0;
      if (found !== version) throw { tag: "conflict", val: found };
      return call().gateway.put(key, value, timeToLiveMs);
    },
    delete: (key) => call().gateway.entries.delete(key),
  },
  fetch: {
    send: (upstream, request) => {
      const answer = call().gateway.upstreams[upstream];
      if (answer === undefined) throw { tag: "unknown-upstream" };
      call().gateway.fetches.push({ upstream, ...request });
      const { status = 200, headers = [], body = "" } = answer(request);
      return { status, headers, body: typeof body === "string" ? encode(body) : body };
    },
    start: (upstream, request, timeoutMs) => ({
      wait: () => imports.fetch.send(upstream, request, timeoutMs),
    }),
  },
};

/** Configuration, upstreams, key-value store, clock and log of one plugin. */
export class Gateway {
  milliseconds = Date.UTC(2026, 0, 1);
  entries = new Map();
  logLines = [];
  fetches = [];
  #versions = 0;

  constructor({ configuration = {}, upstreams = {} } = {}) {
    this.configuration = encode(JSON.stringify(configuration));
    this.upstreams = upstreams;
  }

  /** A new instance of a plugin, with module state of its own. The path is relative to this file. */
  async load(path) {
    return import(`${new URL(path, import.meta.url).href}?instance=${++instances}`);
  }

  /** Lets time pass. */
  advance(milliseconds) {
    this.milliseconds += milliseconds;
  }

  put(key, value, timeToLiveMs) {
    const expires = timeToLiveMs === null ? Infinity : this.milliseconds + timeToLiveMs;
    const version = ++this.#versions;
    this.entries.set(key, { value, version, expires });
    return version;
  }

  /** Calls a function of the plugin for a request (and, for transformers, a response). */
  call(request, code, response) {
    const [path, query = ""] = (request.target ?? "/").split("?");
    const pairs = (record = {}) => (Array.isArray(record) ? record : Object.entries(record));
    const lower = (record) => pairs(record).map(([name, value]) => [name.toLowerCase(), value]);
    const before = current;
    current = {
      gateway: this,
      request: {
        method: request.method ?? "GET",
        path,
        query,
        resource: request.resource ?? path,
        headers: lower(request.headers),
        pathParameters: pairs(request.pathParameters),
        stageVariables: pairs(request.stageVariables),
        context: request.context ?? {},
        sourceAddress: request.sourceAddress ?? "192.0.2.1",
        body: request.body === undefined ? null : encode(request.body),
        values: (request.values ??= new Map()),
      },
      response: response && { status: response.status, headers: lower(response.headers) },
    };
    try {
      return code();
    } finally {
      current = before;
    }
  }
}
