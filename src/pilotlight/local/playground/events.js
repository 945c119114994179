// Saved test events of one function: choose, save under a name, remove.

import { get } from "./api.js";
import { button, element } from "./element.js";

const path = (entry, name) => `/_pilotlight/functions/${encodeURIComponent(entry.key)}/events/${encodeURIComponent(name)}`;

// `load(event)` fills the form; `current()` gives the event's JSON text as it stands, or throws.
export function savedEvents(entry, signal, load, current) {
  const own = entry.key.split("--").at(-1);
  const said = element("span", { className: "quiet", role: "status" });
  const choose = element("select", { id: "saved-event" });
  const name = element("input", { id: "event-name", maxLength: 64, autocomplete: "off", spellcheck: false });
  const names = new Set(entry.events);
  const attempt = act => async () => {
    said.className = "quiet";
    said.textContent = "";
    try { await act(); } catch (error) { if (!signal.aborted) { said.className = "bad"; said.textContent = error.message; } }
  };
  const list = chosen => {
    choose.replaceChildren(new Option("–", ""), ...[...names].map(each => new Option(each, each)));
    choose.value = names.has(chosen) ? chosen : "";
    remove.disabled = choose.value === "";
  };
  const remove = button("Delete", attempt(async () => {
    const chosen = choose.value;
    if (!await confirmed(`Delete the saved event “${chosen}”? Its file is removed.`)) return;
    await answered(await fetch(path(entry, chosen), { method: "DELETE", signal }));
    names.delete(chosen);
    list("");
    said.textContent = `${chosen} is deleted.`;
  }), { className: "small" });
  choose.onchange = attempt(async () => {
    remove.disabled = choose.value === "";
    if (!choose.value) return;
    name.value = choose.value;
    load(await get(path(entry, choose.value), signal));
  });
  const save = attempt(async () => {
    const chosen = name.value.trim();
    if (!chosen) { name.focus(); throw new Error("give the event a name"); }
    if (names.has(chosen) && choose.value !== chosen && !await confirmed(`Write over the saved event “${chosen}”?`)) return;
    await answered(await fetch(path(entry, chosen), { method: "PUT", body: await current(), headers: { "content-type": "application/json" }, signal }));
    names.add(chosen);
    list(chosen);
    said.textContent = `${chosen} is saved.`;
  });
  name.onkeydown = event => { if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) { event.preventDefault(); save(); } };
  list(own);
  name.value = names.has(own) ? "" : own;
  return element("div", { className: "events" },
    element("div", {}, element("label", { htmlFor: "saved-event" }, "Saved event"), element("div", { className: "joined" }, choose, remove)),
    element("div", {}, element("label", { htmlFor: "event-name" }, "Save this one as"), element("div", { className: "joined" }, name, button("Save", save, { className: "small" }))), said);
}

async function answered(response) {
  if (response.ok) return;
  const value = await response.json().catch(() => null);
  throw new Error(value?.message ?? `the server answered ${response.status}`);
}

// A question of this page's own: one that can be read, styled and answered by the keyboard.
function confirmed(question) {
  const dialog = element("dialog", { "aria-labelledby": "question" });
  const answer = value => dialog.close(value);
  dialog.append(element("p", { id: "question" }, question), element("div", { className: "row" }, button("Cancel", () => answer("")), button("Yes", () => answer("yes"), { className: "main" })));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); }));
}
