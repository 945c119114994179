// Try: a form for each function, and what it answers.

import { get } from "./api.js";
import { element, quiet } from "./element.js";

export async function view(main, signal) {
  const heading = element("h1", {}, "Functions");
  const list = element("div");
  main.replaceChildren(heading, quiet("Each form calls its function as a client would. ", element("a", { href: "/openapi.json" }, "OpenAPI document")), list);
  let cards = {};
  for (;;) {
    const entries = await get("/_pilotlight/functions", signal);
    cards = Object.fromEntries(entries.map(entry => {
      const version = JSON.stringify(entry);
      return [entry.key, cards[entry.key]?.version === version ? cards[entry.key] : { version, node: card(entry) }];
    }));
    list.replaceChildren(...Object.values(cards).map(each => each.node));
    if (entries.every(entry => entry.ready || entry.error)) return;
    await new Promise(resolve => setTimeout(resolve, 1000));
    if (signal.aborted) return;
  }
}

// Of alternatives, as of `Image | None`, the one that is a file decides.
const file = schema => [schema, ...schema.anyOf ?? []].find(each => each.contentMediaType || each.format === "binary");
const isFile = schema => Boolean(file(schema));
const isUrl = schema => [schema, ...schema.anyOf ?? []].some(each => each.format === "uri");
const kinds = schema => [].concat(schema.type ?? (schema.anyOf ?? []).map(each => each.type));

function field(name, schema, example) {
  const value = example ?? schema.default;
  if (isFile(schema)) return element("input", { type: "file", name, accept: file(schema).contentMediaType?.startsWith("image/") ? "image/*" : "" });
  if (isUrl(schema)) return element("input", { type: "url", name, value: value ?? "", placeholder: "https://" });
  if (schema.enum) {
    const options = schema.enum.map(each => new Option(each, JSON.stringify(each), false, each === value));
    return element("select", { name }, ...options);
  }
  const [kind] = kinds(schema);
  if (kind === "boolean") return element("input", { type: "checkbox", name, checked: Boolean(value) });
  if (kind === "integer" || kind === "number") {
    const bounds = Object.fromEntries([["min", schema.minimum], ["max", schema.maximum]].filter(([, bound]) => bound != null));
    return element("input", { type: "number", name, step: kind === "integer" ? 1 : "any", value: value ?? "", ...bounds });
  }
  if (kind === "string") return element("textarea", { name, value: value ?? "", rows: 2 });
  return element("textarea", { name, value: value === undefined ? "" : JSON.stringify(value), placeholder: "JSON" });
}

function read(input, schema) {
  if (isFile(schema)) return input.files[0];
  if (input.type === "checkbox") return input.checked;
  if (input.value === "" && (isUrl(schema) || !kinds(schema).includes("string"))) return undefined;
  if (input.tagName === "SELECT") return JSON.parse(input.value);
  if (input.type === "number") return Number(input.value);
  return kinds(schema).includes("string") ? input.value : JSON.parse(input.value);
}

const text = value => value instanceof File ? value : typeof value === "object" ? JSON.stringify(value) : String(value);
const texts = values => Object.entries(values).flatMap(([key, value]) => [value].flat().map(each => [key, text(each)]));

function build(route, values) {
  let [method, path] = route.split(" ");
  if (method === "ANY") method = "POST";
  const rest = { ...values };
  path = path.replace(/\{([^}+]+)(\+?)\}/g, (_, name, greedy) => {
    const text = String(rest[name] ?? "");
    delete rest[name];
    return greedy ? text.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(text);
  });
  if (["GET", "HEAD", "DELETE"].includes(method)) {
    const query = new URLSearchParams(texts(rest));
    return [query.size ? `${path}?${query}` : path, { method }];
  }
  if (Object.values(rest).some(value => value instanceof File)) {
    const form = new FormData();
    for (const [key, value] of texts(rest)) form.append(key, value);
    return [path, { method, body: form }];
  }
  return [path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(rest) }];
}

// One key for all functions of a service, kept while the tab is open.
function keyField(entry) {
  const place = `api-key:${entry.key.split("--")[0]}`;
  const input = element("input", { type: "password", name: "x-api-key", autocomplete: "off", value: sessionStorage.getItem(place) ?? "" });
  input.dataset.place = place;
  input.oninput = () => {
    sessionStorage.setItem(place, input.value);
    for (const other of document.querySelectorAll("input[name=x-api-key]")) if (other.dataset.place === place) other.value = input.value;
  };
  return input;
}

// What was chosen, as the browser shows it; nothing for what it cannot show.
function preview(input) {
  const picture = element("img", { alt: "", className: "picture" });
  input.addEventListener("change", () => {
    URL.revokeObjectURL(picture.src);
    picture.removeAttribute("src");
    if (input.files[0]) picture.src = URL.createObjectURL(input.files[0]);
  });
  picture.addEventListener("error", () => picture.removeAttribute("src"));
  return picture;
}

async function answer([path, options], key, output) {
  if (key) options.headers = { ...options.headers, "x-api-key": key };
  const began = performance.now();
  output.replaceChildren();
  const response = await fetch(path, options);
  const status = element("p", { className: response.ok ? "quiet" : "bad", textContent: `${response.status}` });
  const shown = element("pre");
  output.replaceChildren(status, shown);
  const kind = response.headers.get("content-type") ?? "";
  if (kind.startsWith("image/")) await depict(await response.blob(), shown);
  else if (response.body) await follow(response.body.getReader(), shown);
  status.textContent += ` in ${(performance.now() - began).toFixed(0)} ms`;
}

// An SVG is shown as a picture too: inside an img element its scripts do not run.
async function depict(content, shown) {
  shown.textContent = `${content.type}, ${content.size} bytes`;
  shown.after(element("img", { className: "picture", src: URL.createObjectURL(content), alt: shown.textContent }));
}

async function follow(reader, shown) {
  const decoder = new TextDecoder();
  for (let part = await reader.read(); !part.done; part = await reader.read())
    shown.append(decoder.decode(part.value, { stream: true }));
  shown.append(decoder.decode());
  try { shown.textContent = JSON.stringify(JSON.parse(shown.textContent), null, 2); } catch { /* not JSON: shown as it came */ }
}

function form(entry) {
  const schema = entry.input ?? {};
  const properties = schema.properties ?? { event: {} };
  const bare = !schema.properties;
  const inputs = Object.entries(properties).map(([name, each]) => [name, each, field(name, each, bare ? entry.event : entry.event?.[name])]);
  const output = element("div");
  const key = entry.needs_key ? keyField(entry) : null;
  const button = element("button", { className: "main", textContent: "Send" });
  const labels = inputs.map(([name, each, input]) => {
    const needed = (schema.required ?? []).includes(name) ? "" : " (optional)";
    return element("label", {}, name + needed, each.description ? ` – ${each.description}` : "", element("br"), input, ...(input.accept === "image/*" ? [preview(input)] : []));
  });
  if (key) labels.unshift(element("label", {}, "API key – one that pilotlight serve has printed, or the value of its variable", element("br"), key));
  return element("form", { onsubmit: async event => {
    event.preventDefault();
    button.disabled = true;
    try {
      const pairs = inputs.map(([name, each, input]) => [name, read(input, each)]).filter(([, value]) => value !== undefined);
      await answer(build(entry.routes[0], bare ? pairs[0]?.[1] ?? {} : Object.fromEntries(pairs)), key?.value, output);
    } catch (error) {
      output.append(element("p", { className: "bad", textContent: String(error) }));
    } finally { button.disabled = false; }
  } }, ...labels, button, output);
}

function card(entry) {
  const heading = element("h2", { textContent: entry.routes.join(", ") || entry.key });
  const about = element("p", { className: "quiet", textContent: [entry.key.replace("--", "/"), entry.doc].filter(Boolean).join(" – ") });
  if (entry.error) return element("article", {}, heading, about, element("p", { className: "bad", textContent: [entry.error, entry.hint].filter(Boolean).join(" – ") }));
  if (!entry.ready) return element("article", {}, heading, about, element("p", { className: "quiet", textContent: "Starting …" }));
  return element("article", {}, heading, about, ...(entry.routes.length ? [form(entry)] : []));
}
