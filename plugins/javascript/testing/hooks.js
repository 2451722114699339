const SCHEME = "tollgate:plugin/";

export async function resolve(specifier, context, next) {
  if (specifier.startsWith(SCHEME)) return { url: specifier, shortCircuit: true };
  const resolved = await next(specifier, context);
  // What a new instance of a plugin imports is new too.
  const instance = context.parentURL && new URL(context.parentURL).search;
  if (instance && resolved.url.startsWith("file:")) {
    return { ...resolved, url: new URL(instance, resolved.url).href };
  }
  return resolved;
}

export async function load(url, context, next) {
  if (!url.startsWith(SCHEME)) return next(url, context);
  const name = url.slice(SCHEME.length).split("@")[0];
  const gateway = new URL("./gateway.js", import.meta.url).href;
  const source = `
    import { imports } from ${JSON.stringify(gateway)};
    export default imports[${JSON.stringify(name)}];`;
  return { format: "module", source, shortCircuit: true };
}
