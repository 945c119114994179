// One function: its form and its event, what it answers, and the request as code.

import { boto3, curl, fetched } from "./code.js";
import { bad, button, element, quiet } from "./element.js";
import { savedEvents } from "./events.js";
import { form } from "./forms.js";
import { copyable, follow } from "./outcome.js";
import { build, event as asEvent, invocation, send } from "./requests.js";

const about = entry => element("p", { className: "quiet" }, [entry.key.replace("--", "/"), entry.doc].filter(Boolean).join(" – "));

export function panel(entry, signal) {
  const heading = element("h2", {}, entry.routes.join(", ") || entry.key);
  if (entry.error) return element("article", {}, heading, about(entry), bad(entry.error), entry.hint && quiet(entry.hint));
  if (!entry.ready) return element("article", {}, heading, about(entry), quiet("Starting …"));
  return new Panel(entry, signal).node(heading);
}

// Of alternatives of which some are texts, the page asks for the one that tells more.
const wantsJson = entry => (entry.output?.anyOf ?? []).some(each => each.type === "object") && entry.output.anyOf.some(each => each.type === "string");

class Panel {
  constructor(entry, signal) {
    this.entry = entry;
    this.signal = signal;
    this.running = null;
    this.form = form(entry.input, () => this.changed());
    this.route = element("select", { id: "route", onchange: () => this.changed() }, entry.routes.map(each => new Option(each, each)));
    this.text = element("textarea", { className: "mono event", rows: 12, spellcheck: false, "aria-label": "Event as JSON", oninput: () => this.changed() });
    this.output = element("section", { className: "outcome", "aria-label": "Answer" });
    this.code = element("div");
    this.key = entry.needs_key ? keyField(entry, () => this.changed()) : null;
    this.isRaw = !entry.routes.length;
    this.load(entry.event);
  }

  // An event that is none of the form's goes where it can be seen whole.
  load(event) {
    const values = event === null || event === undefined ? {} : this.form.isBare ? event : fitting(event, this.entry.input.properties);
    this.form.fill(values ?? undefined);
    this.text.value = JSON.stringify(event ?? {}, null, 2);
    if (!values) this.show(true);
    this.changed();
  }

  node(heading) {
    const { entry } = this;
    this.sender = element("button", { className: "main", type: "submit" }, "Send");
    this.cancel = button("Cancel", () => this.running?.abort(), { hidden: true });
    this.tabs = ["Form", "Event"].map((name, place) => button(name, () => this.switch(place === 1), { className: "small" }));
    this.fields = element("div", {}, this.key && element("div", { className: "field" }, element("label", { htmlFor: "x-api-key" }, "API key – one that pilotlight serve has printed, or the value of its variable"), this.key),
      entry.routes.length > 1 && element("div", { className: "field" }, element("label", { htmlFor: "route" }, "Route"), this.route), this.form.node);
    this.raw = element("div", {}, quiet("Sent by the Invoke API as it stands, as boto3 would."), this.text);
    const isMac = navigator.platform.startsWith("Mac");
    const code = element("details", { className: "as-code", ontoggle: () => this.changed() }, element("summary", {}, "As code"), this.code);
    this.asCode = code;
    const node = element("form", { noValidate: true, onsubmit: event => { event.preventDefault(); this.send(); } },
      element("div", { className: "row between" }, element("div", { className: "row tabs", role: "group", "aria-label": "How it is sent" }, this.tabs)),
      savedEvents(entry, this.signal, event => this.load(event), () => this.current()), this.fields, this.raw,
      element("div", { className: "row send" }, this.sender, this.cancel, quiet(`or ${isMac ? "⌘" : "Ctrl"} Enter`)), code);
    node.onkeydown = event => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.send(); } };
    document.addEventListener("paste", event => this.form.paste(event), { signal: this.signal });
    this.signal.addEventListener("abort", () => this.running?.abort());
    this.show(this.isRaw);
    return element("article", { className: "panel" }, heading, about(entry), element("div", { className: "sides" }, node, this.output));
  }

  show(isRaw) {
    this.isRaw = isRaw || !this.entry.routes.length;
    if (!this.tabs) return;
    this.tabs.forEach((each, place) => each.setAttribute("aria-pressed", (place === 1) === this.isRaw));
    this.tabs[0].disabled = !this.entry.routes.length;
    this.fields.hidden = this.isRaw;
    this.raw.hidden = !this.isRaw;
  }

  // From the form to its event; what was written by hand goes back into the form where it fits.
  async switch(isRaw) {
    if (isRaw === this.isRaw) return;
    try {
      if (isRaw) this.text.value = JSON.stringify(await asEvent(this.form.read()), null, 2);
      else { this.show(false); this.load(JSON.parse(this.text.value)); return; }
    } catch (error) { this.complain(error); }
    this.show(isRaw);
    this.changed();
  }

  current() {
    if (!this.isRaw) return asEvent(this.form.read()).then(event => JSON.stringify(event, null, 2));
    JSON.parse(this.text.value);
    return this.text.value;
  }

  request() {
    if (this.isRaw) return [invocation(this.entry.key, this.text.value), parsed(this.text.value)];
    const values = this.form.read();
    return [build(this.route.value || this.entry.routes[0], values, { key: this.key?.value, wantsJson: wantsJson(this.entry) }), values];
  }

  changed() {
    if (!this.asCode?.open) return;
    try {
      const [request, values] = this.request();
      const boto = this.isRaw ? boto3(this.entry.key, undefined, this.text.value) : boto3(this.entry.key, values);
      this.code.replaceChildren(...[["curl", curl(request)], ["boto3", boto], ["fetch", fetched(request)]].map(([name, text]) => copyable(name, text)));
    } catch (error) { this.code.replaceChildren(quiet(error.message)); }
  }

  complain(error) {
    this.output.append(bad(String(error)));
  }

  async send() {
    if (this.running) return;
    this.running = new AbortController();
    this.sender.disabled = true;
    this.cancel.hidden = false;
    this.output.replaceChildren();
    try {
      const [request, values] = this.request();
      await follow(this.output, send(request, this.running.signal), values, this.entry, this.running.signal);
    } catch (error) {
      if (this.running.signal.aborted) this.output.replaceChildren(quiet("Cancelled."));
      else this.complain(error);
    } finally {
      this.output.scrollIntoView({ block: "nearest" });
      this.running = null;
      this.sender.disabled = false;
      this.cancel.hidden = true;
    }
  }
}

// The values of an event for the form; null where it has others. The one parameter of a function may be named or be the whole.
function fitting(event, properties) {
  const fits = value => typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).every(name => name in properties);
  const inner = typeof event === "object" && event !== null && Object.keys(event).length === 1 ? Object.values(event)[0] : null;
  return fits(event) ? event : fits(inner) ? inner : null;
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return {}; }
}

// One key for all functions of a service, kept while the tab is open.
function keyField(entry, changed) {
  const place = `api-key:${entry.key.split("--")[0]}`;
  const input = element("input", { type: "password", name: "x-api-key", id: "x-api-key", autocomplete: "off", value: sessionStorage.getItem(place) ?? "" });
  input.oninput = () => { sessionStorage.setItem(place, input.value); changed(); };
  return input;
}
