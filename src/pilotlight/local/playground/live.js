// Live: what the environments of this machine do now, what came of the requests of the last minutes, and faults to try.

import { send } from "./api.js";
import { lines, number } from "./charts.js";
import { bad, button, element, quiet, table } from "./element.js";

const KEPT = 15 * 60_000;  // ms of the charts
const SAID = { init: "starting", idle: "idle", running: "running", frozen: "frozen by you", dead: "gone" };
const short = key => key.replace("--", "/");
const ms = value => value === null || value === undefined ? "–" : `${number(value)} ms`;

export function view(main, signal) {
  const now = element("section", { "aria-label": "Functions and environments" });
  const charts = element("section", { "aria-label": "The last 15 minutes", className: "grid" });
  const sums = element("div");
  const said = element("div", { "aria-live": "polite" });
  const shown = { state: null, points: [], step: 5000, notice: text => said.replaceChildren(text ? bad(text) : "") };
  main.replaceChildren(
    element("h1", {}, "Live"),
    quiet("Every environment of this server. Kill, freeze and faults are real: the process gets the signal."),
    said, now, element("h2", {}, "The last 15 minutes"), charts, sums);
  const stream = new EventSource("/_pilotlight/live");
  signal.addEventListener("abort", () => stream.close());
  const redraw = painter(() => state(now, shown), signal), replot = painter(() => { plots(charts, shown); sums.replaceChildren(latest(shown.points)); }, signal);
  stream.addEventListener("state", event => {
    shown.state = JSON.parse(event.data);
    shown.notice("");
    redraw();
  });
  stream.addEventListener("series", event => {
    const { step_ms, points } = JSON.parse(event.data);
    shown.step = step_ms;
    const fresh = new Set(points.map(point => `${point.time} ${point.function}`));
    const since = Date.now() - KEPT;
    shown.points = [...shown.points.filter(point => point.time > since && !fresh.has(`${point.time} ${point.function}`)), ...points];
    replot();
  });
  stream.onerror = () => shown.notice("The server does not answer. This goes on by itself when it does.");
}

// At most once a frame; a page that is hidden has none.
function painter(draw, signal) {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => { isAsked = false; if (!signal.aborted) draw(); });
  };
}

// What is there is changed in place, by key, so that focus stays where it is.
function state(place, shown) {
  const { functions, environments, memory } = shown.state;
  if (!place.dataset.drawn) {
    place.dataset.drawn = "yes";
    place.append(element("p", { className: "quiet memory" }), element("div", { className: "functions" }));
  }
  place.querySelector(".memory").textContent =
    `Memory by settings: ${number(memory.used_mb)} of ${number(memory.limit_mb)} MB. Environments: ${environments.filter(each => each.state !== "dead").length}.`;
  keyed(place.querySelector(".functions"), functions, each => each.key, each => functionCard(each, shown), (node, each) => {
    updateFunction(node, each);
    const own = environments.filter(other => other.function === each.key);
    const list = node.querySelector(".environments");
    keyed(list, own, other => other.id, other => environmentItem(other, shown), updateEnvironment);
    node.querySelector(".none").hidden = own.length > 0;
  });
}

function keyed(place, items, key, make, update) {
  const nodes = new Map([...place.children].map(node => [node.dataset.key, node]));
  for (const item of items) {
    let node = nodes.get(key(item));
    if (!node) {
      node = make(item);
      node.dataset.key = key(item);
      place.append(node);
    }
    nodes.delete(key(item));
    update(node, item);
  }
  for (const node of nodes.values()) node.remove();
}

function functionCard(entry, shown) {
  const path = `/_pilotlight/functions/${encodeURIComponent(entry.key)}/faults`;
  const fault = body => act(shown, () => send("POST", path, body));
  const throttle = element("input", { type: "checkbox", onchange: event => fault({ throttle: event.target.checked }) });
  throttle.className = "throttle";
  const slow = element("select", { className: "slow", onchange: event => fault({ slow_init_ms: Number(event.target.value) }) },
    [[0, "no delay"], [1000, "1 s"], [5000, "5 s"], [12_000, "12 s, more than Lambda's 10"]].map(([value, text]) => new Option(text, value)));
  return element("article", {},
    element("h2", {}, short(entry.key)),
    element("p", { className: "counts" }),
    element("ul", { className: "environments" }),
    element("p", { className: "quiet none" }, "No environment: it costs nothing. The next request starts one."),
    element("div", { className: "row faults" },
      element("label", { className: "inline" }, throttle, " Throttle"),
      element("label", { className: "inline" }, "Slow init: ", slow)));
}

function updateFunction(node, entry) {
  const share = entry.invocations ? `${number(100 * entry.cold_starts / entry.invocations)} %` : "–";
  node.querySelector(".counts").textContent = [
    `running ${entry.running} of ${number(entry.concurrency_limit)}`, `waiting ${entry.waiting}`, `invocations ${number(entry.invocations)}`,
    `cold starts ${number(entry.cold_starts)} (${share})`, `errors ${number(entry.errors)}`, `throttled ${number(entry.throttles)}`,
    `p50 ${ms(entry.p50_ms)}`, `p95 ${ms(entry.p95_ms)}`, `p99 ${ms(entry.p99_ms)}`].join(" · ");
  const throttle = node.querySelector(".throttle"), slow = node.querySelector(".slow");
  throttle.checked = entry.faults.throttle;
  if (document.activeElement !== slow) slow.value = String(entry.faults.slow_init_ms);
}

function environmentItem(entry, shown) {
  const call = what => act(shown, () => send("POST", `/_pilotlight/environments/${encodeURIComponent(entry.id)}/${what}`));
  const name = `environment ${entry.id}`;
  const freeze = button("Freeze", event => call(event.target.dataset.does), { className: "small freeze" });
  return element("li", {},
    element("strong", { className: "state" }), " ", element("span", { className: "about quiet" }),
    element("div", { className: "row controls" },
      button("Kill", () => call("kill"), { className: "small", "aria-label": `Kill ${name}` }), freeze));
}

function updateEnvironment(node, entry) {
  node.dataset.state = entry.state;
  node.querySelector(".state").textContent = SAID[entry.state] + (entry.reason ? `: ${entry.reason}` : "");
  node.querySelector(".about").textContent =
    `pid ${entry.pid || "–"}, ${number(entry.rss_mb)} MB, ${number(entry.invocations)} invocation${entry.invocations === 1 ? "" : "s"}, ${since(entry.since)}`;
  const freeze = node.querySelector(".freeze");
  freeze.dataset.does = entry.state === "frozen" ? "thaw" : "freeze";
  freeze.textContent = entry.state === "frozen" ? "Thaw" : "Freeze";
  freeze.setAttribute("aria-label", `${freeze.textContent} environment ${entry.id}`);
  node.querySelector(".controls").hidden = entry.state === "dead";
  freeze.hidden = entry.state === "init";
}

const since = time => {
  const seconds = Math.max(0, Math.round((Date.now() - time) / 1000));
  return `for ${seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`}`;
};

async function act(shown, work) {
  try { await work(); } catch (error) { shown.notice(error.message); }
}

// The series

function plots(place, { points, step }) {
  const to = Date.now(), from = to - KEPT;
  const steps = merged(points);
  const over = (name, of) => ({ name, points: filled(steps, step, of) });
  const options = { from, to };
  place.replaceChildren(
    lines("Requests a second", [over("requests", each => each.invocations * 1000 / step), over("throttled", each => each.throttles * 1000 / step), over("errors", each => each.errors * 1000 / step)], options),
    lines("Latency, ms", [over("p50", each => each.p50_ms), over("p95", each => each.p95_ms), over("p99", each => each.p99_ms)], options),
    lines("Concurrency", [over("environments running", each => each.concurrency)], options),
    lines("Cold starts, %", [over("cold starts", each => each.invocations ? 100 * each.cold_starts / each.invocations : null)], options),
    lines("Memory of the environments, MB", [over("resident", each => each.memory_mb)], options));
}

// One point for all functions at each time: counts are added, of latencies the longest is shown.
function merged(points) {
  const steps = new Map();
  for (const point of points) {
    const sum = steps.get(point.time);
    steps.set(point.time, sum ? joined(sum, point) : { ...point });
  }
  return [...steps.values()].sort((one, other) => one.time - other.time);
}

function joined(sum, point) {
  const result = { ...sum };
  for (const name of ["invocations", "cold_starts", "errors", "throttles", "concurrency", "memory_mb"]) result[name] += point[name];
  for (const name of ["p50_ms", "p95_ms", "p99_ms"]) result[name] = Math.max(sum[name] ?? 0, point[name] ?? 0) || null;
  return result;
}

// Where steps are missing, nothing was there: the line has a gap.
function filled(steps, step, of) {
  const points = [];
  for (const each of steps) {
    if (points.length && each.time - points.at(-1)[0] > step * 1.5) points.push([each.time - 1, null]);
    points.push([each.time, of(each) ?? null]);
  }
  return points;
}

function latest(points) {
  const sums = new Map();
  for (const point of points) sums.set(point.function, sums.has(point.function) ? joined(sums.get(point.function), point) : { ...point });
  return table("By function", [
    { name: "Function", of: row => short(row.function) },
    { name: "Requests", number: true, of: row => number(row.invocations) },
    { name: "Cold", number: true, of: row => number(row.cold_starts) },
    { name: "Errors", number: true, of: row => number(row.errors) },
    { name: "Throttled", number: true, of: row => number(row.throttles) },
    { name: "Slowest step's p99", number: true, of: row => ms(row.p99_ms) },
  ], [...sums.values()]);
}
