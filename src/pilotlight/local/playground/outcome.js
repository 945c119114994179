// What became of one request: its answer as it comes, status and time, and what the server knows of it.

import { json, shown } from "./answers.js";
import { get } from "./api.js";
import { button, element, quiet } from "./element.js";
import { number } from "./charts.js";

const PHASES = { wait: "waiting for an environment", init: "init", restore: "restore", run: "run" };
const TRIES = 3, PAUSE = 60;  // ms; the report is written after the answer has gone
const LONGEST = 200_000;  // characters of a body that are shown
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

// Fills `place` with the answer to `request`, which `answered` is on its way to. `sent` are the values of the form.
export async function follow(place, answered, sent, entry, signal) {
  const began = performance.now();
  const status = element("p", { className: "status", role: "status" }, "Sending …");
  const answer = element("div", { className: "answer" });
  place.replaceChildren(status, answer);
  const response = await answered;
  status.textContent = `${response.status} …`;
  let bytes = new Uint8Array(), broken = "";
  try { bytes = await read(response, answer, signal); } catch (error) {
    signal.throwIfAborted();
    broken = String(error);
  }
  const took = performance.now() - began;
  const isGood = response.ok && !response.headers.has("x-amz-function-error");
  status.replaceChildren(element("strong", { className: isGood ? "good" : "bad" }, String(response.status)), ` in ${took.toFixed(0)} ms`);
  if (broken) return place.append(element("p", { className: "bad", role: "alert" }, broken));
  const body = render(response, bytes, answer, sent, entry, isGood);
  place.append(raw(response, body));
  await details(place, status, response, took, signal);
}

// Text is shown as it comes, which for a stream is word by word; bytes of other kinds when all are there.
async function read(response, answer, signal) {
  const kind = response.headers.get("content-type") ?? "";
  const live = isText(kind) && !kind.includes("json") ? element("pre", { className: "stream", "aria-live": "off" }) : null;
  if (live) answer.replaceChildren(live);
  const decoder = new TextDecoder(), chunks = [];
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
    signal.throwIfAborted();
    chunks.push(part.value);
    live?.append(decoder.decode(part.value, { stream: true }));
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

const isText = kind => /^(text\/|application\/(json|xml|javascript|[\w.+-]*\+(json|xml)))/.test(kind) || kind === "";

function render(response, bytes, answer, sent, entry, isGood) {
  const kind = response.headers.get("content-type") ?? "";
  if (kind.startsWith("image/")) { answer.replaceChildren(...depicted(new Blob([bytes], { type: kind }))); return `${kind}, ${bytes.length} bytes`; }
  if (!isText(kind)) { answer.replaceChildren(...saved(new Blob([bytes], { type: kind }))); return `${kind}, ${bytes.length} bytes`; }
  const text = new TextDecoder().decode(bytes);
  let value;
  try { value = JSON.parse(text); } catch { return text; }
  answer.replaceChildren(...isGood ? shown(unwrapped(value), sent, entry.output) : [json(value)]);
  return JSON.stringify(value, null, 2);
}

// What a function answers to an event of API Gateway has the answer proper as the text in its body.
function unwrapped(value) {
  if (typeof value?.statusCode !== "number" || typeof value.body !== "string" || value.isBase64Encoded) return value;
  try { return JSON.parse(value.body); } catch { return value.body; }
}

// An SVG is shown as a picture too: inside an img element its scripts do not run.
function depicted(content) {
  const said = `${content.type}, ${content.size} bytes`;
  return [element("img", { className: "picture large", src: URL.createObjectURL(content), alt: said }), quiet(said)];
}

const saved = content => [element("p", {}, element("a", { href: URL.createObjectURL(content), download: "answer" }, `Save the answer: ${content.type}, ${content.size} bytes`))];

function raw(response, body) {
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const cut = body.length > LONGEST ? `${body.slice(0, LONGEST)}\n… ${body.length - LONGEST} characters more` : body;
  return element("details", { className: "raw" }, element("summary", {}, "Raw"),
    element("h3", {}, "Status and headers"), element("pre", { className: "headers", tabIndex: 0 }, `${response.status} ${response.statusText}\n${headers}`),
    element("h3", {}, "Body"), element("pre", { className: "body", tabIndex: 0 }, cut));
}

async function details(place, status, response, took, signal) {
  const id = response.headers.get("apigw-requestid") ?? response.headers.get("x-amzn-requestid");
  const found = id && await asked(id, signal);
  if (!found) return tail(place, response);
  status.append(" · ", element("span", { className: found.cold ? "warn" : "" }, found.cold ? "cold start" : "warm"), ` · ${number(found.duration_ms)} ms in the function`);
  place.insertBefore(element("section", { className: "time", "aria-label": "Time" }, phases(found, took), element("p", { className: "report mono" }, found.report.replaceAll("\t", "   "))), place.querySelector(".raw"));
  if (found.log?.length) place.append(log(found.log.join("\n")));
}

async function asked(id, signal) {
  for (let attempt = 0; attempt < TRIES && !signal.aborted; attempt += 1) {
    await pause(PAUSE * 4 ** attempt);
    try { return await get(`/_pilotlight/requests/${encodeURIComponent(id)}`, signal); } catch { /* not ended yet */ }
  }
  return null;
}

const log = text => element("details", { className: "log", open: true }, element("summary", {}, "Log of this request"), element("pre", { tabIndex: 0 }, text));

// The Invoke API's own log, of the last 4 KB.
function tail(place, response) {
  const text = response.headers.get("x-amz-log-result");
  if (text) place.append(log(new TextDecoder().decode(Uint8Array.from(atob(text), each => each.charCodeAt(0)))));
}

// The rest is the gateway, the connection and this page.
function phases(found, took) {
  const known = found.phases.filter(each => each.ms > 0).map(each => [PHASES[each.name] ?? each.name, each.ms, each.name]);
  const rest = took - known.reduce((sum, [, ms]) => sum + ms, 0);
  const all = [...known, ...rest > 0 ? [["gateway and network", rest, "rest"]] : []];
  const total = all.reduce((sum, [, ms]) => sum + ms, 0) || 1;
  const bar = element("div", { className: "phases", role: "img", "aria-label": all.map(([name, ms]) => `${name} ${number(ms)} ms`).join(", ") }, all.map(([, ms, name]) => {
    const piece = element("span", { className: `phase ${name}` });
    piece.style.flexGrow = Math.max(ms / total, .004);
    return piece;
  }));
  return element("div", {}, bar, element("ul", { className: "keys" }, all.map(([name, ms, kind]) => element("li", { className: kind }, `${name} ${number(ms)} ms`))));
}

export function copyable(name, text) {
  const done = element("span", { className: "quiet", role: "status" });
  const pre = element("pre", { tabIndex: 0, className: "code" }, text);
  return element("div", {}, element("div", { className: "row" }, button(`Copy ${name}`, async () => {
    try { await navigator.clipboard.writeText(text); done.textContent = "Copied."; } catch { getSelection().selectAllChildren(pre); done.textContent = "Selected: copy it by the keyboard."; }
  }, { className: "small" }), done), pre);
}
