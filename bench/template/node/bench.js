/**
 * Renders the templates in shapes/ with velocityjs, and takes the same commands as src/main.rs.
 *
 * Templates and JSONPaths are parsed once. Each render parses the payload anew and has a context of
 * its own, and so a `Compile`: one used twice keeps what the renders before left in it.
 *
 * usage: node bench.js FOLDER-WITH-NODE_MODULES SHAPES
 */

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const { createRequire } = require("node:module");

const [modules, folder] = process.argv.slice(2);
const { Compile, parse } = createRequire(path.resolve(modules, "-"))("velocityjs");

/** Java's methods that JavaScript's strings lack, or have with another meaning. */
const STRING_METHODS = {
    equals: (text, other) => text === other,
    length: (text) => text.length,
    replace: (text, from, to) => text.replaceAll(from, () => to),
    replaceAll: (text, pattern, to) => text.replace(new RegExp(pattern, "g"), to),
};

const CONFIG = {
    customMethodHandlers: [
        {
            uid: "java.lang.String",
            match: ({ context, property }) => typeof context === "string" && Object.hasOwn(STRING_METHODS, property),
            resolve: ({ context, property, params }) => STRING_METHODS[property](context, ...params),
        },
    ],
};

const paths = new Map();

/** Names and indices only: `$.items[0].sku`. */
function find(document, jsonPath) {
    let steps = paths.get(jsonPath);
    if (steps === undefined) {
        if (!/^\$(\.\w+|\[\d+\])*$/.test(jsonPath)) {
            throw new Error(`JSONPath ${jsonPath} is not supported here`);
        }
        steps = jsonPath.match(/\w+/g) ?? [];
        paths.set(jsonPath, steps);
    }
    let found = document;
    for (const step of steps) {
        found = found?.[step];
    }
    return found;
}

class Input {
    constructor(body, parameters) {
        this.body = body;
        this.parameters = parameters;
        this.document = undefined;
    }

    path(jsonPath) {
        this.document ??= JSON.parse(this.body);
        return find(this.document, jsonPath);
    }

    json(jsonPath) {
        return JSON.stringify(this.path(jsonPath) ?? "");
    }

    params(name) {
        if (name === undefined) {
            return this.parameters;
        }
        const { path, querystring, header } = this.parameters;
        return path[name] ?? querystring[name] ?? header[name] ?? "";
    }
}

const SHORT_ESCAPES = { "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeJavaScript(c) {
    if (/["'\\/]/.test(c)) {
        return `\\${c}`;
    }
    return SHORT_ESCAPES[c] ?? `\\u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

class Util {
    escapeJavaScript(value) {
        return String(value).replace(/["'\\/]|[^ -~]/g, escapeJavaScript);
    }

    urlEncode(value) {
        const escape = (c) => (c === "%20" ? "+" : `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
        return encodeURIComponent(value).replace(/%20|[!'()~]/g, escape);
    }

    base64Encode(value) {
        return Buffer.from(String(value)).toString("base64");
    }
}

class Shape {
    constructor(name) {
        const [template, body] = name.split(":");
        const read = (file) => fs.readFileSync(path.join(folder, file), "utf8");
        this.template = parse(read(`${template}.vtl`));
        this.request = JSON.parse(read("request.json"));
        this.body = read(`${body}.json`).trimEnd();
    }

    render() {
        const { parameters, context, stageVariables } = this.request;
        const variables = { input: new Input(this.body, parameters), util: new Util(), context, stageVariables };
        const silent = true; // What is not there prints nothing on API Gateway.
        return new Compile(this.template, CONFIG).render(variables, {}, silent);
    }

    /** The CPU time of all of this process's threads, so of the garbage collector's as well. */
    measure(count) {
        const start = process.cpuUsage();
        let length = 0;
        for (let i = 0; i < count; i++) {
            length += this.render().length;
        }
        const { user, system } = process.cpuUsage(start);
        if (length === 0) {
            throw new Error("nothing was rendered");
        }
        return (user + system) * 1000;
    }
}

const shapes = new Map();

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [command, name, count] = line.split(" ");
    if (!shapes.has(name)) {
        shapes.set(name, new Shape(name));
    }
    const shape = shapes.get(name);
    switch (command) {
        case "render":
            return console.log(JSON.stringify(shape.render()));
        case "measure":
            return console.log(shape.measure(Number(count)));
        default:
            throw new Error(`unknown command ${line}`);
    }
});
