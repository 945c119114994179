// Try: one function at a time, beside a list of all.

import { get } from "./api.js";
import { remember } from "./app.js";
import { element } from "./element.js";
import { panel } from "./panel.js";

const MANY = 8;  // functions, from which on the list has a filter
const POLL = 1000;  // ms, while functions start

export async function view(main, signal, query) {
  const list = element("ul", { className: "functions-list" });
  const filter = element("input", { type: "search", "aria-label": "Filter the functions", placeholder: "Filter", oninput: () => sift() });
  const place = element("div", { className: "shown" });
  const side = element("nav", { className: "side", "aria-label": "Functions" }, filter, list);
  let entries = [], chosen = query.get("function") ?? "", version = "", listed = "", leave = new AbortController();
  signal.addEventListener("abort", () => leave.abort());
  const sift = () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    list.querySelectorAll("li").forEach(each => { each.hidden = !words.every(word => each.textContent.toLowerCase().includes(word)); });
  };
  const choose = key => {
    chosen = key;
    version = "";
    remember(new URLSearchParams({ function: key }));
    draw();
  };
  const draw = () => {
    const entry = entries.find(each => each.key === chosen) ?? entries[0];
    for (const each of list.querySelectorAll("a")) {
      if (each.dataset.key === entry?.key) { each.setAttribute("aria-current", "true"); side.scrollTop += each.getBoundingClientRect().top - side.getBoundingClientRect().top - side.clientHeight / 2; }
      else each.removeAttribute("aria-current");
    }
    if (version === JSON.stringify(entry)) return;
    version = JSON.stringify(entry);
    leave.abort();
    leave = new AbortController();
    place.replaceChildren(entry ? panel(entry, leave.signal) : element("p", {}, "No function is served."));
  };
  main.replaceChildren(element("h1", { className: "visually-hidden" }, "Try a function"), element("div", { className: "try" }, side, place));
  for (;;) {
    entries = await get("/_pilotlight/functions", signal);
    filter.hidden = entries.length < MANY;
    const told = JSON.stringify(entries);
    if (told !== listed) {
      listed = told;
      list.replaceChildren(...entries.map(entry => item(entry, choose)));
      sift();
      draw();
    }
    if (entries.every(entry => entry.ready || entry.error)) return;
    await new Promise(resolve => setTimeout(resolve, POLL));
    if (signal.aborted) return;
  }
}

function item(entry, choose) {
  const link = element("a", { href: `#/try?${new URLSearchParams({ function: entry.key })}` },
    element("span", { className: "mono" }, entry.routes[0] ?? entry.key), element("span", { className: "quiet" }, entry.key.replace("--", "/")));
  link.dataset.key = entry.key;
  link.onclick = event => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(entry.key);
  };
  const state = entry.error ? element("span", { className: "bad" }, "does not load") : entry.ready ? null : element("span", { className: "quiet" }, "starting");
  link.append(...state ? [state] : []);
  return element("li", {}, link);
}
