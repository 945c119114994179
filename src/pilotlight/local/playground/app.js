// The shell: one view at a time, named by the hash: "#/live", "#/records?function=qa".

import { bad, element, quiet } from "./element.js";

const NAMES = { try: "Try", live: "Live", records: "Records", cost: "Cost", reference: "API" };
const views = document.documentElement.dataset.views.split(" ").filter(name => name in NAMES);
const main = document.querySelector("main");
let leave = new AbortController();
let current = "";

const named = () => {
  const [name, query] = location.hash.replace(/^#\/?/, "").split("?");
  return [views.includes(name) ? name : views[0], new URLSearchParams(query ?? "")];
};

// The hash of what is shown, without showing it anew.
export function remember(query) {
  const text = String(query);
  history.replaceState(null, "", `#/${named()[0]}${text ? `?${text}` : ""}`);
}

async function show() {
  if (location.hash === "#main") return;  // the link that skips the navigation
  const [name, query] = named();
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = name === views[0] ? "Pilotlight" : `${NAMES[name]} – Pilotlight`;
  const place = element("div");
  main.replaceChildren(place);
  place.append(quiet("Loading …"));
  if (current && current !== name) main.focus({ preventScroll: true });
  current = name;
  try {
    const { view } = await import(`./${name}.js`);
    if (!signal.aborted) await view(place, signal, query);
  } catch (error) {
    if (!signal.aborted) place.replaceChildren(bad(`This view cannot be shown: ${error.message}`));
  }
}

document.querySelector("nav").append(...views.map(name => {
  const link = element("a", { href: `#/${name}` }, NAMES[name]);
  link.dataset.view = name;
  return link;
}));
window.addEventListener("hashchange", show);
show();
