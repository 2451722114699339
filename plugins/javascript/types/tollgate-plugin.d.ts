// What the gateway gives a plugin: the interfaces of plugins/wit, as componentize-qjs maps them.
// `option<T>` is T or null; a function whose WIT result is `result<T, E>` returns T or throws E.

type Pair = [name: string, value: string];

declare module "tollgate:plugin/request@0.1.0" {
  interface ClientCertificate {
    pem: string;
    subject: string;
    issuer: string;
    serialNumber: string;
    notBefore: string;
    notAfter: string;
  }
  const request: {
    /** Upper case as a rule. */
    method(): string;
    /** As the client sent it, percent-encoded, with the stage or base path, without the query. */
    path(): string;
    queryString(): string;
    /** The path template of the method's resource: `/pets/{id}`. */
    resource(): string;
    stage(): string;
    apiId(): string;
    requestId(): string;
    methodArn(): string;
    /** The first value. */
    header(name: string): string | null;
    headerValues(name: string): string[];
    /** Names in lower case, repeated ones apart. */
    headers(): Pair[];
    /**
     * The same in one run of bytes, as received: for each the lengths of its name and value, two
     * little-endian 32-bit numbers, then the bytes of both.
     */
    packedHeaders(): Uint8Array;
    queryParameter(name: string): string | null;
    queryParameters(): Pair[];
    pathParameter(name: string): string | null;
    pathParameters(): Pair[];
    stageVariable(name: string): string | null;
    stageVariables(): Pair[];
    sourceAddress(): string;
    isTls(): boolean;
    clientCertificate(): ClientCertificate | null;
    /** A `$context` variable by its name: `identity.sourceIp`. */
    context(name: string): string | null;
    body(): Uint8Array | null;
  };
  export default request;
}

/** For transformers. */
declare module "tollgate:plugin/response@0.1.0" {
  const response: {
    status(): number;
    header(name: string): string | null;
    headerValues(name: string): string[];
    headers(): Pair[];
    packedHeaders(): Uint8Array;
  };
  export default response;
}

declare module "tollgate:plugin/exchange@0.1.0" {
  const exchange: {
    get(key: string): Uint8Array | null;
    /** False: no room. */
    set(key: string, value: Uint8Array): boolean;
  };
  export default exchange;
}

declare module "tollgate:plugin/configuration@0.1.0" {
  const configuration: { get(): Uint8Array };
  export default configuration;
}

declare module "tollgate:plugin/log@0.1.0" {
  type Level = "trace" | "debug" | "info" | "warn" | "error";
  const log: {
    log(level: Level, message: string, fields: Pair[]): void;
    enabled(level: Level): boolean;
  };
  export default log;
}

declare module "tollgate:plugin/clock@0.1.0" {
  const clock: {
    /** Nanoseconds since 1970; numbers are exact up to 2^53, which here is a quarter of a microsecond. */
    now(): number;
    monotonic(): number;
  };
  export default clock;
}

declare module "tollgate:plugin/random@0.1.0" {
  const random: {
    bytes(length: number): Uint8Array;
    number(): number;
  };
  export default random;
}

declare module "tollgate:plugin/key-value@0.1.0" {
  interface Entry {
    value: Uint8Array;
    version: number;
  }
  /** What `set` and `compareAndSwap` throw. */
  type KeyValueError = { tag: "full" } | { tag: "conflict"; val: number };
  const keyValue: {
    get(key: string): Entry | null;
    set(key: string, value: Uint8Array, timeToLiveMs: number | null): number;
    compareAndSwap(key: string, version: number, value: Uint8Array, timeToLiveMs: number | null): number;
    delete(key: string): boolean;
  };
  export default keyValue;
}

declare module "tollgate:plugin/fetch@0.1.0" {
  interface FetchRequest {
    method: string;
    path: string;
    headers: Pair[];
    body: Uint8Array;
  }
  interface FetchResponse {
    status: number;
    headers: Pair[];
    body: Uint8Array;
  }
  /** What `send`, `start` and `wait` throw. */
  type FetchError =
    | { tag: "unknown-upstream" | "timed-out" | "too-large" }
    | { tag: "invalid-request" | "failed"; val: string };
  interface Pending {
    wait(): FetchResponse;
  }
  const fetch: {
    send(upstream: string, request: FetchRequest, timeoutMs: number): FetchResponse;
    start(upstream: string, request: FetchRequest, timeoutMs: number): Pending;
  };
  export default fetch;
}

/** What plugins export: `export const authorization: Authorization`, or `transformation`. */
declare namespace Tollgate {
  interface Reply {
    status: number;
    headers: Pair[];
    body: Uint8Array;
  }
  type HeaderEdit = { tag: "set" | "append"; val: Pair } | { tag: "remove"; val: string };
  type ContextValue =
    | { tag: "text"; val: string }
    | { tag: "number"; val: number }
    | { tag: "boolean"; val: boolean };
  interface Allow {
    principalId: string;
    /** An IAM policy, as JSON. */
    policy: string | null;
    context: [key: string, value: ContextValue][];
    usageIdentifierKey: string | null;
    headers: HeaderEdit[];
    /** Seconds. */
    timeToLive: number | null;
  }
  type Decision =
    | { tag: "allow"; val: Allow }
    | { tag: "deny"; val: Reply | null }
    | { tag: "unauthorized" };
  interface Authorization {
    authorize(): Decision;
  }

  type BodyHandling =
    | { tag: "pass" | "streamed" | "buffered" }
    | { tag: "replaced"; val: Uint8Array };
  interface RequestEdits {
    headers: HeaderEdit[];
    method: string | null;
    path: string | null;
    query: string | null;
    body: BodyHandling;
  }
  interface ResponseEdits {
    status: number | null;
    headers: HeaderEdit[];
    body: BodyHandling;
  }
  type RequestAction = { tag: "pass" } | { tag: "edit"; val: RequestEdits } | { tag: "reply"; val: Reply };
  type ResponseAction = { tag: "pass" } | { tag: "edit"; val: ResponseEdits } | { tag: "reply"; val: Reply };
  type BodyAction =
    | { tag: "pass" }
    | { tag: "replace"; val: Uint8Array }
    | { tag: "edit"; val: [Uint8Array, HeaderEdit[]] }
    | { tag: "reply"; val: Reply };
  interface Transformation {
    onRequest(): RequestAction;
    onRequestBody(piece: Uint8Array, last: boolean): BodyAction;
    onResponse(): ResponseAction;
    onResponseBody(piece: Uint8Array, last: boolean): BodyAction;
  }
}
