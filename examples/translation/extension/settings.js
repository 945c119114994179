/**
 * What the user has set. The level follows the user from machine to machine; the API's address does not, because the
 * permission to reach it does not either, and neither does its key, which is a secret.
 */

/** @typedef {{ address: string, key: string }} Api  `address` has no slash at its end, and is "" when none is set. */

/** Words that a learner knows at difficulty 0 to 5, which are HSK 1 to 6: each level holds those below it. */
const WORDS = [150, 297, 595, 1193, 2491, 4991];

const HARDEST = WORDS.length - 1;

const LOOPBACK = ["localhost", "127.0.0.1"];

/** @param {number} difficulty @returns {string} */
export function levelName(difficulty) {
  return `HSK ${difficulty + 1}, ${WORDS[difficulty].toLocaleString("en")} words`;
}

/**
 * The API's address as it is kept, from what somebody typed or copied out of a terminal.
 * @param {string} typed
 * @returns {string}
 * @throws {Error} that says what is wrong with it
 */
export function parseAddress(typed) {
  const url = URL.parse(typed.trim());
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new Error("Write the whole address, such as http://127.0.0.1:8080 or https://api.example.com/prod.");
  }
  if (url.protocol === "http:" && !LOOPBACK.includes(url.hostname)) {
    const why = `Texts would travel to ${url.host} unencrypted`;
    throw new Error(`${why}: http:// is for this computer alone, write https://.`);
  }
  if (url.username || url.password) throw new Error("Leave user name and password out; a key has its own field.");
  if (url.search || url.hash) throw new Error(`Leave out what begins with ${url.search ? "?" : "#"}.`);
  return url.origin + url.pathname.replace(/\/+$/, "").replace(/\/translate$/, "");
}

/** @param {string} typed @returns {string} @throws {Error} when no header can carry it */
export function parseKey(typed) {
  const key = typed.trim();
  if (!/^[\x21-\x7e]*$/.test(key)) throw new Error("A key has letters, digits and signs of ASCII, and no spaces.");
  return key;
}

/**
 * The one host that the extension has to reach, as a match pattern.
 * @param {string} address
 * @returns {string}
 */
export function hostPattern(address) {
  return `${new URL(address).origin}/*`;
}

/** @returns {Promise<Api>} */
export function readApi() {
  return chrome.storage.local.get({ address: "", key: "" });
}

/** @param {Api} api */
export function writeApi(api) {
  return chrome.storage.local.set(api);
}

/** @returns {Promise<number>} 0 to 5 */
export async function readDifficulty() {
  const { difficulty } = await chrome.storage.sync.get("difficulty");
  return typeof difficulty === "number" && difficulty in WORDS ? difficulty : HARDEST;
}

/** @param {number} difficulty */
export function writeDifficulty(difficulty) {
  return chrome.storage.sync.set({ difficulty });
}

/**
 * Asks for the permission to reach one host, and gives back those of all others. Call it in the event of a click,
 * before anything is awaited: Chrome asks the user only then.
 * @param {string} pattern "" for none
 * @returns {Promise<boolean>} whether the user, and who administers the browser, allow it
 */
export async function allowOnly(pattern) {
  const isAllowed = !pattern || await chrome.permissions.request({ origins: [pattern] }).catch(() => false);
  if (!isAllowed) return false;
  const { origins = [] } = await chrome.permissions.getAll();
  const others = origins.filter(origin => origin !== pattern);
  if (others.length) await chrome.permissions.remove({ origins: others });
  return true;
}
