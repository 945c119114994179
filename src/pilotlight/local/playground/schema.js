// What a JSON Schema of a function says, as the forms, the answers and the reference page ask it.

// With what it points to in its own document in the pointer's place.
export function resolved(schema, root) {
  let found = schema ?? {};
  for (let hops = 0; found.$ref && hops < 20; hops += 1) {
    const target = found.$ref.replace(/^#\//, "").split("/").reduce((place, name) => place?.[name], root);
    found = { ...target, ...found, $ref: target?.$ref };
  }
  return found;
}

// Of alternatives, as of `Image | None`, those that are not null.
export const alternatives = schema => (schema.anyOf ?? schema.oneOf ?? [schema]).filter(each => each.type !== "null");
export const isNullable = schema => [].concat(schema.type ?? []).includes("null") || (schema.anyOf ?? []).some(each => each.type === "null");
export const file = schema => alternatives(schema).find(each => each.contentMediaType || each.contentEncoding || each.format === "binary");
export const isPicture = schema => Boolean(file(schema)?.contentMediaType?.startsWith("image/"));
export const isUrl = schema => alternatives(schema).some(each => each.format === "uri");
export const kind = schema => [].concat(alternatives(schema)[0]?.type ?? [])[0];

// One line of it, for people: "integer, 1 to 10", "list of text".
export function described(schema, root) {
  const found = resolved(schema, root);
  if (found.anyOf || found.oneOf) return (found.anyOf ?? found.oneOf).map(each => described(each, root)).join(" or ");
  if (found.enum) return found.enum.map(each => JSON.stringify(each)).join(" | ");
  if ("const" in found) return JSON.stringify(found.const);
  if (found.contentMediaType?.startsWith("image/")) return found.contentEncoding ? "picture, as base64" : "picture";
  if (found.contentMediaType || found.contentEncoding) return found.contentEncoding ? `file, as ${found.contentEncoding}` : "file";
  if (found.type === "array") return found.items ? `list of ${described(found.items, root)}` : "list";
  if (found.type === "object") return found.title ?? (typeof found.additionalProperties === "object" ? `object of ${described(found.additionalProperties, root)}` : "object");
  const text = [].concat(found.type ?? "anything").join(" or ").replace("string", found.format === "uri" ? "URL" : "text");
  const [low, high] = [found.minimum, found.maximum];
  if (low !== undefined || high !== undefined) return `${text}, ${low === undefined ? `at most ${high}` : high === undefined ? `at least ${low}` : `${low} to ${high}`}`;
  return text;
}

// Something that fits the schema, for an example of it.
export function sample(schema, root, depth = 0) {
  const found = resolved(alternatives(resolved(schema, root))[0], root);
  if (found.default !== undefined && found.default !== null) return found.default;
  if (found.examples?.length) return found.examples[0];
  if (found.enum) return found.enum[0];
  if ("const" in found) return found.const;
  if (found.properties && depth < 5) return Object.fromEntries(Object.entries(found.properties).map(([name, each]) => [name, sample(each, root, depth + 1)]));
  if (found.type === "array") return depth < 5 && found.items ? [sample(found.items, root, depth + 1)] : [];
  if (found.type === "object") return {};
  if (found.contentEncoding) return "<base64>";
  if (found.format === "uri") return "https://example.com/picture.jpg";
  return { string: "text", integer: found.minimum ?? 1, number: found.minimum ?? 0.5, boolean: false }[[].concat(found.type)[0]] ?? null;
}
