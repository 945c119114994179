// Charts as SVG, drawn from scratch each time: lines over time, a histogram, bars. Each has its numbers as text too:
// in its label for a screen reader, and at each mark when the pointer rests on it.

import { element } from "./element.js";

const HEIGHT = 150, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 22;
const COLORS = 6;  // s1 to s6 of style.css

export const color = index => `s${index % COLORS + 1}`;
export const number = value => value === null || value === undefined ? "–"
  : value.toLocaleString("en", { maximumSignificantDigits: Math.abs(value) < 100 ? 3 : undefined, maximumFractionDigits: Math.abs(value) < 100 ? undefined : 0 });

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Some round numbers from 0 up to `most` or a little above.
export function ticks(most, count = 4) {
  if (!(most > 0)) return [0, 1];
  const rough = most / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(each => each * power).find(each => each >= rough - 1e-12);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => index * step);
}

const clock = (time, span) => new Date(time).toLocaleString("en-GB", span > 36 * 3.6e6
  ? { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }
  : { hour: "2-digit", minute: "2-digit", second: span < 36e5 ? "2-digit" : undefined });

function room() {
  const wide = document.querySelector("main").clientWidth;
  return wide > 700 ? Math.min(560, wide / 2 - 40) : Math.max(260, wide - 40);
}

function frame(title, summary, top, format, ...marks) {
  const width = room();
  const axis = ticks(top);
  const y = value => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / axis.at(-1));
  const x = share => LEFT + (width - LEFT - RIGHT) * share;
  const grid = axis.map(value => svg("g", {},
    svg("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
    svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value))));
  const drawn = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${title}. ${summary}` });
  drawn.append(...grid, ...marks.flatMap(mark => mark(x, y, width)));
  return drawn;
}

const below = (x, share, text, anchor = "middle") =>
  svg("text", { x: x(share), y: HEIGHT - 4, "text-anchor": anchor }, text);

function legend(names) {
  if (names.length < 2) return null;
  return element("ul", { className: "legend" }, names.map((name, index) => {
    const item = element("li", {}, name);
    item.style.setProperty("--color", `var(--${color(index)})`);
    return item;
  }));
}

const figure = (title, drawn, names = []) =>
  element("figure", {}, element("figcaption", {}, title), drawn, legend(names));

const nothing = title => figure(title, element("p", { className: "quiet" }, "Nothing yet."));

// Lines over time: series [{name, points: [[ms since 1970, value or null for a gap]]}].
export function lines(title, series, { format = number, from, to } = {}) {
  const points = series.flatMap(each => each.points).filter(([, value]) => value !== null);
  if (!points.length) return nothing(title);
  const begin = from ?? Math.min(...points.map(([time]) => time));
  const span = Math.max(1, (to ?? Math.max(...points.map(([time]) => time))) - begin);
  const summary = series.map(each => summarised(each, format)).join("; ");
  const paths = (x, y) => series.flatMap((each, index) => line(each, color(index), time => x((time - begin) / span), y, time => clock(time, span), format));
  const labels = x => [below(x, 0, clock(begin, span), "start"), below(x, .5, clock(begin + span / 2, span)), below(x, 1, clock(begin + span, span), "end")];
  return figure(title, frame(title, summary, Math.max(...points.map(([, value]) => value)), format, paths, labels), series.map(each => each.name));
}

function summarised({ name, points }, format) {
  const values = points.map(([, value]) => value).filter(value => value !== null);
  return values.length ? `${name}: last ${format(values.at(-1))}, highest ${format(Math.max(...values))}` : `${name}: nothing`;
}

function line({ name, points }, kind, x, y, when, format) {
  let path = "", isGap = true;
  for (const [time, value] of points) {
    if (value !== null) path += `${isGap ? "M" : "L"}${x(time).toFixed(1)},${y(value).toFixed(1)}`;
    isGap = value === null;
  }
  const dots = points.filter(([, value]) => value !== null).map(([time, value]) =>
    svg("path", { class: `dot ${kind}`, d: `M${x(time).toFixed(1)},${y(value).toFixed(1)}h0` },
      svg("title", {}, `${name}, ${when(time)}: ${format(value)}`)));
  return [svg("path", { class: `line ${kind}`, d: path }), ...dots];
}

// Counts of values: bins [{from, to, counts: [one for each of names]}].
export function histogram(title, bins, { format = number, names = ["count"] } = {}) {
  const most = Math.max(0, ...bins.flatMap(bin => bin.counts));
  if (!most) return nothing(title);
  const total = bins.reduce((sum, bin) => sum + bin.counts[0], 0);
  const fullest = bins.reduce((best, bin) => bin.counts[0] > best.counts[0] ? bin : best);
  const summary = `${number(total)} values from ${format(bins[0].from)} to ${format(bins.at(-1).to)}; most between ${format(fullest.from)} and ${format(fullest.to)}`;
  const drawn = (x, y) => bins.flatMap((bin, place) => bin.counts.map((count, index) => {
    const wide = (x(1) - x(0)) / bins.length / names.length;
    return svg("rect", { class: `bar ${color(index)}`, x: x(place / bins.length) + index * wide + .5, width: Math.max(.5, wide - 1), y: y(count), height: y(0) - y(count) },
      svg("title", {}, `${format(bin.from)} to ${format(bin.to)}: ${number(count)}${names.length > 1 ? ` (${names[index]})` : ""}`));
  }));
  const labels = x => [below(x, 0, format(bins[0].from), "start"), below(x, 1, format(bins.at(-1).to), "end")];
  return figure(title, frame(title, summary, most, number, drawn, labels), names);
}

// One bar for each name, the longest first: items [{name, values: [one for each of names]}].
export function bars(title, items, { format = number, names = ["count"], most } = {}) {
  const top = most ?? Math.max(0, ...items.flatMap(item => item.values));
  if (!items.length) return nothing(title);
  const rows = items.map(item => element("tr", {},
    element("th", { scope: "row", className: "bar-name" }, item.name),
    element("td", { className: "bar-cell" }, item.values.map((value, index) => bar(value / (top || 1), color(index)))),
    element("td", { className: "number" }, item.values.map(value => element("div", {}, format(value))))));
  const head = element("tr", { className: "visually-hidden" }, ["name", "bar", names.join(", ")].map(name => element("th", { scope: "col" }, name)));
  return element("figure", {}, element("table", { className: "bars" }, element("caption", {}, title), element("thead", {}, head), element("tbody", {}, rows)), legend(names));
}

function bar(share, kind) {
  const node = element("div", { className: `bar ${kind}` });
  node.style.width = `${Math.max(.3, Math.min(1, share) * 100)}%`;
  return node;
}
