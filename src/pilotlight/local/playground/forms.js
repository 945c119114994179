// A form for a JSON Schema: a field for each property, filled from an event and read back.

import { element, quiet } from "./element.js";
import { pictureField } from "./pictures.js";
import { alternatives, file, isNullable, isPicture, isUrl, kind, resolved } from "./schema.js";

let count = 0;

// {node, read() -> values, fill(event), paste(event), isBare}; a schema without properties has one field for the whole event.
export function form(schema, changed) {
  const root = schema ?? {};
  const isBare = !root.properties;
  const fields = Object.entries(root.properties ?? { event: {} }).map(([name, each]) => field(name, resolved(each, root), root, (root.required ?? []).includes(name), changed));
  return {
    isBare,
    node: element("div", { className: "fields" }, fields.map(each => each.node)),
    paste: event => fields.find(each => each.paste)?.paste(event),
    fill: event => fields.forEach(each => each.fill(isBare ? event : event?.[each.name])),
    read: () => {
      const pairs = fields.map(each => [each.name, each.read()]).filter(([, value]) => value !== undefined);
      return isBare ? pairs[0]?.[1] ?? {} : Object.fromEntries(pairs);
    },
  };
}

function field(name, schema, root, isNeeded, changed) {
  const id = `field-${count += 1}`;
  const made = control(name, id, schema, root, changed);
  const label = `${name}${isNeeded || made.isGroup ? "" : " (optional)"}`;
  const hint = schema.description && quiet(schema.description);
  made.fill(undefined);
  if (made.isGroup) return { name, ...made, node: element("fieldset", {}, element("legend", {}, label), hint, made.node) };
  if (made.isCheck) return { name, ...made, node: element("p", { className: "check" }, made.node, element("label", { htmlFor: id }, label), hint) };
  return { name, ...made, node: element("div", { className: made.isWide ? "field wide" : "field" }, element("label", { htmlFor: id }, label), hint, made.node) };
}

function control(name, id, schema, root, changed) {
  if (isPicture(schema)) return pictureField(name, id, file(schema), changed);
  if (file(schema)) return fileField(name, id, changed);
  const inner = resolved(alternatives(schema)[0], root);
  if (schema.enum || inner.enum) return choice(name, id, schema, inner, changed);
  if (isUrl(schema)) return typed(element("input", { type: "url", name, id, placeholder: "https://", oninput: changed, className: "wide" }), schema, text => text === "" ? undefined : text);
  if (alternatives(schema).length === 1) {
    if (inner.properties && !isNullable(schema)) return group(inner, root, changed);
    const of = kind(inner);
    if (of === "boolean") return checkbox(name, id, schema, changed);
    if (of === "integer" || of === "number") return numeric(name, id, schema, inner, changed);
    if (of === "string") return words(name, id, schema, inner, changed);
  }
  const area = element("textarea", { name, id, rows: 4, placeholder: "JSON", spellcheck: false, className: "mono", oninput: changed });
  return { ...typed(area, schema, text => text.trim() === "" ? undefined : JSON.parse(text), value => JSON.stringify(value, null, 2)), isWide: true };
}

// `read` gives undefined for what is left out, so that the function's own default counts.
function typed(node, schema, parse, show = String) {
  return {
    node,
    read: () => {
      if (!node.checkValidity()) { node.reportValidity(); throw new Error(`${node.name}: ${node.validationMessage}`); }
      try { return parse(node.value); } catch (error) { node.focus(); throw new Error(`${node.name}: it is not JSON: ${error.message}`); }
    },
    fill: value => { const given = value ?? schema.default; node.value = given === undefined || given === null ? "" : show(given); },
  };
}

function words(name, id, schema, inner, changed) {
  const isEmptyOut = isNullable(schema) || schema.default !== undefined;
  const area = element("textarea", { name, id, rows: 2, oninput: () => { grow(area); changed(); }, minLength: inner.minLength, maxLength: inner.maxLength });
  const made = typed(area, schema, text => text === "" && isEmptyOut ? undefined : text);
  return { ...made, fill: value => { made.fill(value); requestAnimationFrame(() => grow(area)); }, isWide: true };
}

function grow(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, 320)}px`;
}

function numeric(name, id, schema, inner, changed) {
  const bounds = { min: inner.minimum, max: inner.maximum };
  const node = element("input", { type: "number", name, id, step: kind(inner) === "integer" ? 1 : "any", inputMode: "decimal", oninput: changed, ...bounds });
  // Of a text that is not a number the server says what is wrong.
  return typed(node, schema, text => text === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : text);
}

function checkbox(name, id, schema, changed) {
  const node = element("input", { type: "checkbox", name, id, onchange: changed });
  return { node, isCheck: true, read: () => node.checked, fill: value => { node.checked = Boolean(value ?? schema.default); } };
}

function choice(name, id, schema, inner, changed) {
  const options = (schema.enum ?? inner.enum).map(each => new Option(each === null ? "none" : each, JSON.stringify(each)));
  const isOptional = isNullable(schema) && !options.some(each => each.value === "null");
  const node = element("select", { name, id, onchange: changed }, isOptional ? new Option("–", "") : null, options);
  const first = node.options[0]?.value ?? "";
  return {
    node,
    read: () => node.value === "" ? undefined : JSON.parse(node.value),
    fill: value => { const given = value ?? schema.default; node.value = given === undefined || given === null ? first : JSON.stringify(given); },
  };
}

function fileField(name, id, changed) {
  const node = element("input", { type: "file", name, id, onchange: changed });
  return { node, read: () => node.files[0], fill: () => { node.value = ""; }, isWide: true };
}

function group(schema, root, changed) {
  const required = schema.required ?? [];
  const inner = Object.entries(schema.properties).map(([name, each]) => field(name, resolved(each, root), root, required.includes(name), changed));
  return {
    isGroup: true,
    node: element("div", { className: "fields" }, inner.map(each => each.node)),
    read: () => Object.fromEntries(inner.map(each => [each.name, each.read()]).filter(([, value]) => value !== undefined)),
    fill: value => inner.forEach(each => each.fill(value?.[each.name])),
  };
}
