import { translate } from "./service.js";
import { allowOnly, hostPattern, parseAddress, parseKey, readApi, writeApi } from "./settings.js";

/** @typedef {import("./settings.js").Api} Api */

const SAMPLE = "The library is open on Sunday.";

/** @param {string} id @returns {any} the element, which is in options.html */
const $ = id => document.getElementById(id);

/** @type {AbortController | null} the request that tries what was saved last */
let trying = null;

/** @returns {Promise<Api | null>} what is kept now, null when that is not what the form says */
async function save() {
  trying?.abort();
  tell("", "");
  const api = checked();
  if (!api) return null;
  if (api.address) tell(`Chrome asks whether ${new URL(api.address).host} may be reached …`, "");
  if (!(await allowOnly(api.address && hostPattern(api.address)))) {
    tell("", `Not saved: without the permission, nothing can be sent to ${new URL(api.address).host}.`);
    return null;
  }
  await writeApi(api);
  $("address").value = api.address;
  $("key").value = api.key;
  tell(api.address ? `Saved. Texts go to ${new URL(api.address).host} alone.` : "Saved. No API is set.", "");
  return api;
}

async function saveAndTry() {
  const api = await save();
  if (!api) return;
  if (!api.address) return tell("", "There is no address to try.");
  tell(`Saved. Asking ${new URL(api.address).host} …`, "");
  const mine = trying = new AbortController();
  try {
    const { text, problem, detail } = await translate(api, SAMPLE, 5, mine.signal);
    if (problem) tell("Saved, but it does not work yet.", `${problem} ${detail}`);
    else tell(`Saved, and it works: “${SAMPLE}” is “${text.trim()}”`, "");
  } catch (error) {
    if (!mine.signal.aborted) throw error;
  }
}

/** @returns {Api | null} what is typed, null after saying what is wrong with it */
function checked() {
  const address = field("address", typed => typed.trim() && parseAddress(typed));
  if (address === null) return null;
  const key = field("key", parseKey);
  return key === null ? null : { address, key };
}

/** @param {string} id @param {(typed: string) => string} parse @returns {string | null} */
function field(id, parse) {
  $(id).ariaInvalid = null;
  try {
    return parse($(id).value);
  } catch (error) {
    $(id).ariaInvalid = "true";
    $(id).focus();
    tell("", error.message);
    return null;
  }
}

/** @param {string} status @param {string} problem */
function tell(status, problem) {
  $("status").textContent = status;
  $("problem").textContent = problem;
}

$("form").addEventListener("submit", event => {
  event.preventDefault();
  save();
});
$("try").addEventListener("click", saveAndTry);

const api = await readApi();
$("address").value = api.address;
$("key").value = api.key;
