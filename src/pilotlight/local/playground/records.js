// Records: what functions were asked and what they answered; counts, distributions and drift of what is looked for.

import { get, send } from "./api.js";
import { remember } from "./app.js";
import { bars, histogram, lines, number } from "./charts.js";
import { bad, button, element, quiet, table } from "./element.js";

const PATH = "/_pilotlight/records", POLL = 500;  // ms
const LOOK = ["function", "since", "until", "contains", "failed", "cold", "class"];
const OWN = ["table", ...LOOK, "reference_since", "reference_until", "record"];

const short = key => key.replace("--", "/");
const count = (some, what) => `${some.toLocaleString("en")} ${what}${some === 1 ? "" : "s"}`;
const ms = value => `${number(value)} ms`;
const percent = value => `${number(100 * value)} %`;
const when = time => new Date(time).toLocaleString("en-GB");
const pause = wait => new Promise(resolve => setTimeout(resolve, wait));

// A time as an input of the kind datetime-local has it, in the browser's zone, and back.
const toInput = time => time ? new Date(time - new Date(time).getTimezoneOffset() * 60000).toISOString().slice(0, 19) : "";
const ofInput = text => text ? String(new Date(text).getTime()) : "";

export async function view(main, signal, query) {
  const tables = await get(`${PATH}/tables`, signal);
  main.replaceChildren(element("h1", {}, "Records"));
  if (!tables.length) {
    main.append(quiet("Records are private: they are shown only where the server listens on a loopback address, such as 127.0.0.1."));
    return;
  }
  const look = new Look(query, tables, signal);
  main.append(...look.parts());
  await look.follow();
}

class Look {
  constructor(query, tables, signal) {
    this.signal = signal;
    this.query = new URLSearchParams([...query].filter(([name, value]) => OWN.includes(name) && value));
    this.tables = tables;
    this.table = tables.find(each => each.name === this.query.get("table")) ?? tables[0];
    this.work = new AbortController();
    for (const name of ["status", "filters", "charts", "drift", "list"]) this[name] = element("div");
    this.status.setAttribute("aria-live", "polite");
  }

  parts() {
    const section = (title, place) => element("section", { "aria-label": title }, element("h2", {}, title), place);
    return [this.status, this.filters, section("Distributions", this.charts), section("Drift", this.drift), section("Requests and answers", this.list)];
  }

  url(what, more = {}) {
    const query = new URLSearchParams(LOOK.filter(name => this.query.has(name)).map(name => [name, this.query.get(name)]));
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return `${PATH}/${encodeURIComponent(this.table.name)}/${what}?${query}`;
  }

  change(changes) {
    for (const [name, value] of Object.entries(changes)) value ? this.query.set(name, value) : this.query.delete(name);
    remember(this.query);
  }

  // Tell how far the table is read, until it is, and was once more than `runs` times; then show what is asked for.
  async follow(runs = -1) {
    let shown = false;
    for (;;) {
      const state = (await get(`${PATH}/tables`, this.signal)).find(each => each.name === this.table.name);
      const names = String(this.state?.functions), isSettled = !state.is_busy && state.runs !== runs;
      this.state = state;
      this.showStatus();
      if (state.is_started && names !== String(state.functions) && !this.filters.contains(document.activeElement)) this.showFilters();
      if (state.is_started && (isSettled || (!shown && state.done))) { shown = true; this.load(); }
      if (isSettled || !state.is_started || state.error) return;
      await pause(POLL);
      if (this.signal.aborted) return;
    }
  }

  async update() {
    const { runs } = this.state;
    await send("POST", `${PATH}/${encodeURIComponent(this.table.name)}/update`, undefined, this.signal);
    await this.follow(runs);
  }

  showStatus() {
    const state = this.state;
    const again = text => button(text, () => this.update().catch(error => this.fail(this.status, error)));
    if (!state.is_started) {
      this.status.replaceChildren(quiet("This table is in DynamoDB. To show it, all of it is read once, which AWS charges for by its size."), again("Read the table"));
    } else if (state.error) {
      this.status.replaceChildren(bad(state.hint ? `${state.error} (${state.hint})` : state.error), again("Try again"));
    } else if (state.is_busy) {
      const bar = element("progress", { "aria-label": "Reading the table", max: state.total || 1 });
      if (state.total) bar.value = state.done;
      this.status.replaceChildren(element("div", { className: "row" }, bar, `Reading the table: ${number(state.done)}${state.total ? ` of ${number(state.total)}` : ""}. The newest are shown first.`));
    } else {
      const skipped = state.skipped ? ` ${count(state.skipped, "item")} of the table are no records.` : "";
      this.status.replaceChildren(element("div", { className: "row" }, again(state.is_remote ? "Read the whole table again" : "Refresh"), quiet(state.until ? `The newest is of ${when(state.until - 1)}.${skipped}` : `No records. None is made unless pilotlight.toml says records = true for a function.${skipped}`)));
    }
  }

  showFilters() {
    const value = name => this.query.get(name) ?? "";
    const labelled = (text, control) => element("label", {}, text, control);
    const option = (name, text, chosen) => element("option", { value: name, selected: name === chosen }, text);
    const names = [...new Set([...this.state.functions, ...(value("function") ? [value("function")] : [])])];
    const tables = element("select", { name: "table" }, this.tables.map(each => option(each.name, each.name, this.table.name)));
    const chosen = element("select", { name: "function" }, option("", "all", value("function")), names.map(name => option(name, short(name), value("function"))));
    const time = name => element("input", { type: "datetime-local", step: 1, name, value: toInput(Number(value(name))) });
    const tick = (name, text) => element("label", { className: "inline" }, element("input", { type: "checkbox", name, value: "1", checked: Boolean(value(name)) }), text);
    const form = element("form", { className: "filters", onsubmit: event => { event.preventDefault(); this.apply(form); } },
      this.tables.length > 1 && labelled("Service", tables), labelled("Function", chosen), labelled("From", time("since")), labelled("To", time("until")),
      labelled("Text in the beginning of input, output or error", element("input", { type: "search", name: "contains", value: value("contains") })),
      labelled("Class", element("input", { name: "class", value: value("class") })),
      element("div", { className: "row" }, tick("failed", "Errors"), tick("cold", "Cold starts"), element("button", { className: "main" }, "Show"),
        button("Show all", () => { this.change(Object.fromEntries(LOOK.map(name => [name, ""]))); this.showFilters(); this.load(); })));
    this.filters.replaceChildren(form);
  }

  apply(form) {
    const given = new FormData(form), changes = Object.fromEntries([...LOOK, "table"].map(name => [name, given.get(name) ?? ""]));
    changes.since = ofInput(changes.since);
    changes.until = ofInput(changes.until);
    changes.record = "";
    if (this.tables.length < 2) changes.table = "";
    const other = this.tables.find(each => each.name === changes.table) ?? this.table;
    this.change(changes);
    if (other !== this.table) { this.table = other; this.state = null; this.follow().catch(error => this.fail(this.status, error)); } else this.load();
  }

  fail(place, error) {
    if (!this.signal.aborted && error.name !== "AbortError") place.replaceChildren(bad(error.message));
  }

  load() {
    this.work.abort();
    this.work = new AbortController();
    const signal = AbortSignal.any([this.signal, this.work.signal]);
    const run = (place, work) => work.call(this, signal).catch(error => { if (!signal.aborted) this.fail(place, error); });
    if (!this.drift.firstChild) this.showWindows();
    run(this.charts, this.loadCharts);
    run(this.list, this.loadList);
    if (this.query.has("reference_since")) run(this.result, this.loadDrift);
  }

  async loadCharts(signal) {
    const found = await get(this.url("overview"), signal);
    const { total, sampled, spans, step, classes } = found;
    const part = sampled < total ? ` Counts are exact; distributions are of a sample of ${number(sampled)}.` : "";
    const share = total ? `, ${count(found.failed, "error")} (${percent(found.failed / total)}), ${count(found.cold, "cold start")} (${percent(found.cold / total)})` : "";
    const over = of => spans.map(span => [span.time + step / 2, of(span)]);
    const three = (names, of, scale = 1) => names.map((name, index) => ({ name, points: over(span => of(span) ? of(span)[index] * scale : null) }));
    const bins = some => some.map(bin => ({ from: bin.low, to: bin.high, counts: [bin.size] }));
    const items = classes.map(([name, some]) => ({ name, values: [some] }));
    if (found.others) items.push({ name: "(others)", values: [found.others] });
    if (found.classless && classes.length) items.push({ name: "(none)", values: [found.classless] });
    const timed = spans[0]?.classes.map((_, index) => ({ name: classes[index][0], points: over(span => sum(span.classes) ? span.classes[index] / sum(span.classes) : null) })) ?? [];
    this.charts.replaceChildren(quiet(`${count(total, "record")}${share}.${part}`), ...(total ? [element("div", { className: "grid" },
      lines(`Records, in ${duration(step)}`, [{ name: "records", points: over(span => span.total) }, { name: "errors", points: over(span => span.failed) }]),
      lines("Latency over time, ms", three(["p50", "p95", "p99"], span => span.latency)),
      histogram("Latencies", bins(found.latencies), { format: ms }),
      classes.length > 0 && bars("Classes", items),
      timed.length > 0 && lines("Shares of the most frequent classes", timed, { format: percent }),
      found.scores.length > 0 && histogram("Scores", bins(found.scores)),
      found.scores.length > 0 && lines("Scores over time", three(["p10", "p50", "p90"], span => span.score)))] : []).flat());
    for (const each of this.charts.querySelectorAll(".grid > :empty")) each.remove();
  }

  async loadList(signal) {
    const rows = element("div"), more = element("div", { className: "row" });
    const link = form => element("a", { href: this.url(`export/${form}`), download: `records.${form}` }, `Export all of these as ${form.toUpperCase()}`);
    const body = element("tbody");
    const add = async after => {
      const page = await get(this.url("page", after ? { after } : {}), signal);
      body.append(...page.rows.map(row => this.row(row)));
      more.replaceChildren(page.next ? button("Show more", () => add(page.next).catch(error => this.fail(more, error))) : quiet("These are all."));
      return page.rows.length;
    };
    const some = await add();
    const head = element("tr", {}, ["Time", "Function", "Status", "ms", "Class", "Score", "Input", "Output"].map(name => element("th", { scope: "col" }, name)));
    const all = element("table", {}, element("caption", {}, "The newest first"), element("thead", {}, head), body);
    rows.append(element("div", { className: "row" }, link("csv"), link("jsonl")), element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Records" }, all), more);
    this.list.replaceChildren(some ? rows : quiet("No record is like that."));
    const wanted = this.query.get("record");
    if (wanted && ![...body.rows].some(row => row.dataset.key === wanted && row.open())) {
      const place = element("div", { className: "card" });
      this.list.prepend(place);
      await this.showRecord(place, wanted, signal);
    }
  }

  row(record) {
    const key = record.primary_key, failed = Boolean(record.error) || record.status >= 400;
    const cell = (text, properties = {}) => element("td", properties, text ?? "");
    const opener = button(when(Date.parse(record.createdAt)), () => node.toggle(), { className: "small", "aria-expanded": "false" });
    const status = record.status ?? (record.error ? "error" : "ok");
    const node = element("tr", {}, cell(opener), cell(short(record.function ?? "")), cell(record.cold ? `${status}, cold` : String(status), { className: failed ? "bad" : "" }),
      cell(record.latency_ms === null ? "" : number(record.latency_ms), { className: "number" }), cell(record.class), cell(record.score === null ? "" : number(record.score), { className: "number" }),
      cell(record.input, { className: "text" }), cell(record.error || record.output, { className: failed ? "text bad" : "text" }));
    node.dataset.key = key;
    let below = null;
    node.toggle = () => {
      const opens = below === null;
      opener.setAttribute("aria-expanded", String(opens));
      this.change({ record: opens ? key : "" });
      if (!opens) { below.remove(); below = null; return; }
      const place = element("td", { colSpan: 8 });
      below = element("tr", { className: "opened" }, place);
      node.after(below);
      this.showRecord(place, key, this.signal);
    };
    node.open = () => { node.toggle(); return true; };
    return node;
  }

  async showRecord(place, key, signal) {
    place.replaceChildren(quiet("Loading …"));
    try {
      const record = await get(this.url(`record/${encodeURIComponent(key)}`), signal);
      const facts = ["primary_key", "createdAt", "function", "model", "route", "status", "error", "latency_ms", "cold", "class", "score", "expires"].filter(name => record[name] !== undefined && record[name] !== null);
      const text = (title, value) => element("div", {}, element("h3", {}, title), element("pre", { tabIndex: 0, role: "region", "aria-label": title }, pretty(value ?? "")));
      place.replaceChildren(
        element("dl", { className: "facts" }, facts.map(name => [element("dt", {}, name), element("dd", {}, name === "expires" ? when(1000 * record[name]) : String(record[name]))]).flat()),
        element("div", { className: "grid" }, text("Input", record.input), text("Output", record.output)));
    } catch (error) { this.fail(place, error); }
  }

  // Drift

  showWindows() {
    const { since, until } = this.state, middle = Math.round((since + until) / 2);
    const time = (name, usual) => element("input", { type: "datetime-local", step: 1, required: true, name, value: toInput(Number(this.query.get(name)) || usual) });
    const form = element("form", { className: "filters", onsubmit: event => { event.preventDefault(); this.compare(form); } },
      element("label", {}, "Reference from", time("reference_since", Math.floor(since / 1000) * 1000)), element("label", {}, "Reference to", time("reference_until", middle)),
      element("div", { className: "row" }, element("button", {}, "Compare")));
    this.result = element("div");
    this.drift.replaceChildren(quiet("Are the records above distributed as those of a reference window were? Without a “From” above, they are those after the window."), form, this.result);
  }

  compare(form) {
    const given = new FormData(form);
    this.change({ reference_since: ofInput(given.get("reference_since")), reference_until: ofInput(given.get("reference_until")) });
    this.loadDrift(this.signal).catch(error => this.fail(this.result, error));
  }

  async loadDrift(signal) {
    const [since, until] = ["reference_since", "reference_until"].map(name => this.query.get(name) ?? "");
    const found = await get(this.url("drift", { since: this.query.get("since") ?? until, reference_since: since, reference_until: until }), signal);
    const kinds = [["Classes", found.classes, number], ["Scores", found.scores, number], ["Latency", found.latencies, ms]].filter(([, each]) => each);
    const columns = [
      { name: "What", of: ([name]) => name },
      { name: "Verdict", of: ([, each]) => element("strong", { className: { stable: "good", shifted: "warn", "shifted far": "bad" }[each.verdict] ?? "" }, each.verdict) },
      { name: "PSI", number: true, of: ([, each]) => number(each.psi) },
      { name: "KS distance", number: true, of: ([, each]) => number(each.distance) },
      { name: "KS p-value", number: true, of: ([, each]) => each.p === null ? "–" : each.p < 0.001 ? "< 0.001" : number(each.p) },
      { name: "Values compared", number: true, of: ([, each]) => `${number(each.reference_size)} and ${number(each.size)}` },
    ];
    const items = (each, format) => each.bins.map(bin => ({ name: bin.name || range(bin, format), values: [bin.reference, bin.now] }));
    this.result.replaceChildren(
      quiet(`${count(found.reference, "record")} in the reference, ${count(found.now, "record")} now.`),
      ...(kinds.length ? [table("Drift against the reference", columns, kinds), element("div", { className: "grid" }, kinds.map(([name, each, format]) => bars(`${name}, shares`, items(each, format), { format: percent, names: ["reference", "now"] })))] : []),
      quiet("PSI, the Population Stability Index, compares shares: of classes, or of the tenths of the reference. Below 0.1 is stable, up to 0.25 shifted, above that shifted far. “Too few to tell”: chance alone would reach 0.05. The Kolmogorov–Smirnov distance is the largest one between the two distribution functions; its p-value is small for small shifts too where there are many values."));
  }
}

const sum = values => values.reduce((total, value) => total + value, 0);
const range = ({ low, high }, format) => low === null ? (high === null ? "all" : `below ${format(high)}`) : high === null ? `from ${format(low)}` : `${format(low)} to ${format(high)}`;

function duration(step) {
  const [size, name] = [[864e5, "d"], [36e5, "h"], [6e4, "min"], [1e3, "s"], [1, "ms"]].find(([size]) => step >= size);
  return `steps of ${number(step / size)} ${name}`;
}

function pretty(text) {
  try { return /^\s*[[{]/.test(text) ? JSON.stringify(JSON.parse(text), null, 2) : text; } catch { return text; }
}
