// An answer shown for what it is: by the function's schema where it says, else by the answer's own shape.
// Each of SHOWS gives nodes, or nothing where the answer is none of its kind; the first that does is taken.

import { attention } from "./attention.js";
import { bars } from "./charts.js";
import { element, quiet } from "./element.js";

const isObject = value => typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = value => typeof value === "number" && Number.isFinite(value);
const isShare = value => isNumber(value) && value >= 0 && value <= 1;
const percent = value => `${(value * 100).toFixed(value > 0 && value < .001 ? 3 : 1)} %`;

// Nodes for what a function answered; `sent` are the values it was given. JSON where nothing else fits.
export function shown(value, sent, schema) {
  for (const show of SHOWS) {
    const nodes = show(value, isObject(sent) ? sent : {}, schema ?? {});
    if (nodes) return nodes;
  }
  return [json(value)];
}

export const json = value => element("pre", { className: "json" }, JSON.stringify(value, null, 2));

const SHOWS = [text, span, spans, looks, parts, classes, labels, likely, share, named];

function text(value) {
  return typeof value === "string" ? [element("p", { className: "said" }, value || "(an empty text)")] : null;
}

// Of a Reader: a part of a text that was sent. Its places count characters, as Python does, and not UTF-16's units.
function span(value, sent) {
  if (!isObject(value) || typeof value.answer !== "string" || !Number.isInteger(value.start) || !Number.isInteger(value.end)) return null;
  const found = Object.values(sent).filter(each => typeof each === "string").map(each => [...each])
    .find(each => value.end > value.start && each.slice(value.start, value.end).join("") === value.answer);
  const score = isNumber(value.score) ? quiet(`Score ${value.score.toFixed(3)}`) : null;
  if (!found) return value.answer ? null : [element("p", { className: "said" }, "No answer in this text."), score];
  return [element("p", { className: "said" }, value.answer), score, marked(found, [value])].filter(Boolean);
}

// Several parts of a text, as a summary has.
function spans(value, sent) {
  if (!isObject(value)) return null;
  const places = Object.values(value).find(each => Array.isArray(each) && each.length && each.every(one => isObject(one) && Number.isInteger(one.start) && Number.isInteger(one.end) && typeof one.text === "string"));
  if (!places) return null;
  const found = Object.values(sent).filter(each => typeof each === "string").map(each => [...each])
    .find(each => places.every(one => each.slice(one.start, one.end).join("") === one.text));
  if (!found) return null;
  const title = Object.values(value).find(each => typeof each === "string");
  return [title ? element("p", { className: "said" }, title) : null, marked(found, places)].filter(Boolean);
}

function marked(characters, places) {
  const nodes = [];
  let end = 0;
  for (const place of [...places].sort((one, other) => one.start - other.start)) {
    if (place.start < end) continue;
    nodes.push(characters.slice(end, place.start).join(""));
    nodes.push(element("mark", { title: isNumber(place.score) ? `score ${place.score.toFixed(3)}` : null }, characters.slice(place.start, place.end).join("")));
    end = place.end;
  }
  return element("blockquote", {}, nodes, characters.slice(end).join(""));
}

// A caption with a map of the picture for each word.
function looks(value, sent) {
  if (!isObject(value) || !Array.isArray(value.words) || !Array.isArray(value.maps) || value.words.length !== value.maps.length || !value.words.length) return null;
  const isMap = map => Array.isArray(map) && map.length && map.every(row => Array.isArray(row) && row.length === map[0].length && row.every(isNumber));
  if (!value.maps.every(isMap)) return null;
  return [element("p", { className: "said" }, String(value.message ?? value.words.join(" "))), attention(value.words, value.maps, picture(sent))];
}

const picture = sent => Object.values(sent).find(each => each instanceof Blob || typeof each === "string" && each.length > 200);

// A translation of which some words are beyond the learner: each tells what stood there.
function parts(value) {
  if (!isObject(value)) return null;
  const list = Object.values(value).find(each => Array.isArray(each) && each.length && each.every(one => isObject(one) && typeof one.text === "string" && typeof one.hard === "boolean"));
  if (!list) return null;
  const nodes = list.map(one => one.hard && typeof one.chinese === "string"
    ? element("ruby", {}, element("mark", {}, one.text), element("rp", {}, " ("), element("rt", {}, one.chinese), element("rp", {}, ") ")) : one.text);
  const hard = list.filter(one => one.hard).length;
  return [element("p", { className: "said parts" }, nodes), quiet(`${hard} ${hard === 1 ? "word stays" : "words stay"} in the language that it came from; above each is what stood there.`)];
}

// A number for each class. Logits become probabilities, which is said.
function classes(value) {
  if (!isObject(value)) return null;
  const entries = Object.entries(value);
  if (entries.length < 2 || !entries.every(([, each]) => isNumber(each))) return null;
  return distribution(entries);
}

function distribution(entries) {
  const sum = entries.reduce((total, [, each]) => total + each, 0);
  const areShares = entries.every(([, each]) => isShare(each)) && Math.abs(sum - 1) < .02;
  const most = Math.max(...entries.map(([, each]) => each));
  const powers = entries.map(([name, each]) => [name, Math.exp(each - most)]);
  const total = powers.reduce((all, [, each]) => all + each, 0);
  const shares = (areShares ? entries : powers.map(([name, each]) => [name, each / total])).sort((one, other) => other[1] - one[1]);
  const items = shares.map(([name, each]) => ({ name, values: [each] }));
  return [element("p", { className: "said" }, shares[0][0]), bars("Classes", items, { format: percent, most: 1 }), areShares ? null : quiet("The softmax of the logits that were answered.")].filter(Boolean);
}

// A list of labels with their scores.
function labels(value) {
  const list = Array.isArray(value) ? value : isObject(value) ? Object.values(value).find(each => Array.isArray(each) && each.some(isObject)) : null;
  if (!list?.length || !list.every(one => isObject(one) && typeof one.label === "string" && isNumber(one.score))) return null;
  return distribution(list.map(one => [one.label, one.score]));
}

// One label, with the logits of all or with its own score.
function likely(value) {
  if (!isObject(value) || typeof value.label !== "string") return null;
  const logits = Object.values(value).find(each => Array.isArray(each) && each.length > 1 && each.every(isNumber));
  if (logits) {
    const best = logits.indexOf(Math.max(...logits));
    return distribution(logits.map((each, place) => [place === best ? value.label : `class ${place}`, each]));
  }
  return isShare(value.score) ? [element("p", { className: "said" }, value.label), bars("How probable", [{ name: value.label, values: [value.score] }], { format: percent, most: 1 })] : null;
}

// A probability, with what is decided by it.
function share(value) {
  if (!isObject(value)) return null;
  const found = Object.entries(value).filter(([name, each]) => isShare(each) && /(^|_)(score|probability|confidence)$/.test(name));
  if (!found.length) return null;
  const decided = Object.entries(value).filter(([, each]) => typeof each === "boolean").map(([name, each]) => `${name}: ${each ? "yes" : "no"}`);
  const said = decided.length ? decided.join(", ") : percent(found[0][1]);
  return [element("p", { className: "said" }, said), bars("Probability", found.map(([name, each]) => ({ name: name.replaceAll("_", " "), values: [each] })), { format: percent, most: 1 })];
}

// An object of one text.
function named(value) {
  if (!isObject(value)) return null;
  const entries = Object.entries(value);
  return entries.length === 1 && typeof entries[0][1] === "string" ? [element("p", { className: "said" }, entries[0][1]), json(value)] : null;
}
