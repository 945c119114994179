// The OpenAPI document as a page to read: each operation with what it takes, what it answers, and an example.

import { get } from "./api.js";
import { remember } from "./app.js";
import { element, quiet, table } from "./element.js";
import { alternatives, described, resolved, sample } from "./schema.js";

const METHODS = ["get", "head", "post", "put", "patch", "delete", "options"];

export async function view(main, signal, query) {
  const [spec, functions] = await Promise.all([get("/openapi.json", signal), get("/_pilotlight/functions", signal)]);
  const operations = Object.entries(spec.paths).flatMap(([path, item]) => METHODS.filter(method => item[method]).map(method => ({ method: method.toUpperCase(), path, ...item[method] })));
  const side = element("nav", { className: "side", "aria-label": "Operations" }, element("ul", { className: "functions-list" }, operations.map(entry)));
  const place = element("div", { className: "shown" }, operations.length ? operations.map(each => operation(each, spec, functions)) : quiet("No function is ready yet."));
  main.replaceChildren(
    element("h1", {}, "API"), quiet("What each function takes and answers, from its annotations. ", element("a", { href: "/openapi.json" }, "OpenAPI document")),
    element("div", { className: "try" }, side, place));
  const chosen = query.get("operation");
  if (chosen) document.getElementById(anchor(chosen))?.scrollIntoView();
}

const anchor = id => `operation-${id}`;

function entry(each) {
  const link = element("a", { href: `#/reference?${new URLSearchParams({ operation: each.operationId })}` }, element("span", { className: "mono" }, `${each.method} ${each.path}`));
  link.onclick = event => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    remember(new URLSearchParams({ operation: each.operationId }));
    const target = document.getElementById(anchor(each.operationId));
    target.scrollIntoView();
    target.querySelector("h2").focus({ preventScroll: true });
  };
  return element("li", {}, link);
}

function operation(each, spec, functions) {
  const body = Object.entries(each.requestBody?.content ?? {});
  const structured = body.find(([, content]) => content.schema?.type === "object" || content.schema?.$ref) ?? body[0];
  const found = functions.find(one => one.routes.some(route => [`${each.method} ${each.path}`, `ANY ${each.path}`].includes(route.replaceAll("+}", "}"))));
  return element("article", { id: anchor(each.operationId), className: "operation" },
    element("h2", { tabIndex: -1 }, `${each.method} ${each.path}`),
    each.summary && element("p", {}, each.summary),
    found && element("p", {}, element("a", { href: `#/try?${new URLSearchParams({ function: found.key })}` }, "Try it")),
    each.security && quiet("Asks for an API key in the header x-api-key."),
    each.parameters?.length && fields("Parameters", each.parameters.map(one => ({ name: one.name, place: one.in, schema: one.schema, needed: one.required })), spec, true),
    structured && [element("h3", {}, "Body"), quiet(`As ${body.map(([kind]) => kind).join(", ")}`), ...structured[1].schema ? shape("Fields of the body", structured[1].schema, spec) : []],
    body.some(([kind]) => kind === "application/json") && example("Example of a body", sample(each.requestBody.content["application/json"].schema ?? {}, spec)),
    element("h3", {}, "Answers"), ...answers(each, spec));
}

function answers(each, spec) {
  return Object.entries(each.responses).sort().map(([status, response]) => {
    const [kind, content] = Object.entries(response.content ?? {})[0] ?? ["", {}];
    const isError = Number(status) >= 400;
    return element("details", { open: !isError }, element("summary", {}, element("strong", { className: isError ? "bad" : "good" }, status), ` ${response.description}`),
      kind && quiet(kind), content.schema && shape(`Fields of ${status}`, content.schema, spec));
  });
}

// A table for each alternative that has fields, one line for others.
function shape(caption, schema, spec) {
  return alternatives(resolved(schema, spec)).flatMap((each, place, all) => {
    const found = resolved(each, spec);
    const name = all.length > 1 ? `${caption}: ${found.title ?? `alternative ${place + 1}`}` : caption;
    return found.properties && Object.keys(found.properties).length ? [fields(name, rows(found, spec, ""), spec)] : [element("p", { className: "mono" }, described(found, spec))];
  });
}

// Fields of fields come below, with their path as name.
function rows(schema, spec, prefix, depth = 0) {
  return Object.entries(schema.properties).flatMap(([name, each]) => {
    const found = resolved(each, spec);
    const list = found.type === "array" && resolved(found.items, spec);
    const inner = found.properties ? found : list?.properties ? list : null;
    const path = `${prefix}${name}`;
    return [{ name: path, schema: each, needed: (schema.required ?? []).includes(name) }, ...inner && depth < 4 ? rows(inner, spec, `${path}${list ? "[]" : ""}.`, depth + 1) : []];
  });
}

function fields(caption, list, spec, hasPlace) {
  const preset = each => each.schema?.default;
  return table(caption, [
    { name: "Name", of: each => element("code", {}, each.name) },
    ...hasPlace ? [{ name: "In", of: each => each.place }] : [],
    { name: "Type", of: each => described(each.schema, spec) },
    { name: "Needed", of: each => each.needed ? "required" : preset(each) === undefined || preset(each) === null ? "optional" : `default ${JSON.stringify(preset(each))}` },
    ...list.some(each => each.schema?.description) ? [{ name: "Meaning", of: each => each.schema?.description ?? "" }] : [],
  ], list);
}

const example = (title, value) => element("details", {}, element("summary", {}, title), element("pre", { tabIndex: 0 }, JSON.stringify(value, null, 2)));
