import { takeSelection } from "./selection.js";
import { translate, trouble } from "./service.js";
import { levelName, readApi, readDifficulty, writeDifficulty } from "./settings.js";

/** @typedef {import("./service.js").View} View */

const NO_SELECTION = "Nothing is selected on the page: select a text, or write one here.";
const NO_SCRIPTS = "Chrome lets no extension read this page: paste the text here.";
const NO_ADDRESS = trouble("No API is set yet.", "Set the address of your service in the options.");
const NO_TEXT = trouble("There is no text.", "Select one and open this again, or write it above.");
const NOTHING = trouble("", "");

/** @param {string} id @returns {any} the element, which is in popup.html */
const $ = id => document.getElementById(id);

/** @type {AbortController | null} the request whose answer is shown: one that was replaced is not heard any more */
let current = null;

async function run() {
  stop();
  show(NOTHING);
  const mine = current = new AbortController();
  const text = $("text").value;
  const [api] = await Promise.all([readApi(), levelRestored]);
  if (mine !== current) return;
  if (!text.trim() || !api.address) return finish(api.address ? NO_TEXT : NO_ADDRESS);
  busy(true);
  try {
    const view = await translate(api, text, difficulty(), mine.signal);
    if (mine === current) finish(view);
  } catch (error) {
    if (!mine.signal.aborted) throw error;
  }
}

function stop() {
  current?.abort();
  current = null;
  busy(false);
}

/** @param {View} view */
function finish(view) {
  current = null;
  busy(false);
  show(view);
}

/** @param {boolean} isBusy */
function busy(isBusy) {
  if (!isBusy && document.activeElement === $("cancel")) $("translate").focus();
  $("cancel").hidden = !isBusy;
  $("status").textContent = isBusy ? "Translating …" : "";
  $("reply").ariaBusy = String(isBusy);
}

/** @param {View} view whose strings are put in as text, never as HTML */
function show({ text, problem, detail }) {
  $("reply").textContent = text;
  $("copy").hidden = !text;
  const title = Object.assign(document.createElement("strong"), { textContent: problem });
  $("problem").replaceChildren(...(problem ? [title, " ", detail] : []));
}

async function copy() {
  const copied = navigator.clipboard.writeText($("reply").textContent);
  $("status").textContent = await copied.then(() => "Copied.", () => "Chrome did not let it be copied.");
}

/** @returns {number} 0 to 5 */
function difficulty() {
  return $("difficulty").valueAsNumber;
}

function showLevel() {
  $("level").textContent = $("difficulty").ariaValueText = levelName(difficulty());
}

async function restoreLevel() {
  $("difficulty").valueAsNumber = await readDifficulty();
  showLevel();
}

async function fillIn() {
  const selected = await takeSelection();
  if ($("text").value) return; // the page took its time, and the user wrote something
  $("text").value = selected ?? "";
  $("hint").textContent = selected === null ? NO_SCRIPTS : selected.trim() ? "" : NO_SELECTION;
  $(selected?.trim() ? "translate" : "text").focus();
}

$("form").addEventListener("submit", event => {
  event.preventDefault();
  run();
});
$("text").addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("difficulty").addEventListener("input", showLevel);
$("difficulty").addEventListener("change", () => writeDifficulty(difficulty()));
$("cancel").addEventListener("click", stop);
$("options").addEventListener("click", () => chrome.runtime.openOptionsPage());
$("copy").addEventListener("click", copy);

const levelRestored = restoreLevel();
fillIn();
