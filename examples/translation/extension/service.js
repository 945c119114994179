/** One request to the API, and what its answer means to the user. */

/** @typedef {import("./settings.js").Api} Api */
/** @typedef {{ status: number, type: string, requestId: string, body: string }} Answer */
/** @typedef {{ text: string, problem: string, detail: string }} View  a translation, or "" and why there is none */

const TIMEOUT = 35_000; // ms; API Gateway gives up after 30 s, and what it answers then says more than our own timeout

const REQUEST_IDS = ["apigw-requestid", "x-amzn-requestid"]; // of HTTP APIs; of REST APIs and function URLs

/**
 * What `fetch` is given. A lone half of a surrogate pair, where a selection cuts an emoji, cannot be sent as UTF-8.
 * @param {Api} api
 * @param {string} text
 * @param {number} difficulty
 * @returns {[string, RequestInit]}
 */
export function buildRequest(api, text, difficulty) {
  const headers = new Headers({ "accept": "text/plain", "content-type": "application/json" });
  if (api.key) headers.set("x-api-key", api.key);
  return [`${api.address}/translate`, {
    method: "POST",
    headers,
    body: JSON.stringify({ text: text.toWellFormed(), difficulty }),
    cache: "no-store",
    credentials: "omit",
    redirect: "manual", // the text goes to the host that the user allowed, and nowhere else
    referrerPolicy: "no-referrer",
  }];
}

/**
 * Translates a text; never takes longer than the timeout.
 * @param {Api} api
 * @param {string} text
 * @param {number} difficulty
 * @param {AbortSignal} signal
 * @returns {Promise<View>}
 * @throws when `signal` aborts
 */
export async function translate(api, text, difficulty, signal) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), TIMEOUT);
  const [url, init] = buildRequest(api, text, difficulty);
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.any([signal, late.signal]) });
    return view(await answerOf(response), url);
  } catch (error) {
    if (signal.aborted) throw error;
    return late.signal.aborted ? tooLate(url) : unreachable(url);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Response} response @returns {Promise<Answer>} */
async function answerOf(response) {
  const requestId = REQUEST_IDS.map(name => response.headers.get(name)).find(Boolean) ?? "";
  const type = (response.headers.get("content-type") ?? "").split(";")[0].trim().toLowerCase();
  return { status: response.status, type, requestId, body: await response.text() };
}

/**
 * @param {Answer} answer `status` 0 is a redirect, which is not followed
 * @param {string} url
 * @returns {View}
 */
export function view(answer, url) {
  const { status, type, body } = answer;
  if (status < 200 || status >= 400) return failure(answer, url);
  if (status !== 200 || type !== "text/plain") {
    const detail = `${url} answered ${status} with ${type || "nothing"}. Is it the right address?`;
    return trouble("This is not a translation.", detail);
  }
  if (!body.trim()) return trouble("The translation is empty.", "Try other words.");
  return { text: body, problem: "", detail: "" };
}

/** @param {Answer} answer @param {string} url @returns {View} */
function failure(answer, url) {
  const { status } = answer;
  const told = reason(answer);
  switch (status) {
    case 0: return trouble("The address has moved.", `${url} leads elsewhere: set the new one in the options.`);
    case 401:
    case 403: return trouble("The service does not let you in.", `${told}. Check key and address in the options.`);
    case 404: return trouble("There is no service here.", `Nothing is at ${url}. Check the address in the options.`);
    case 413: return trouble("The text is too long.", `${told}.`);
    case 429: return trouble("Too many requests.", `${told}. Wait a little, then try again.`);
  }
  if (status < 500) return trouble(`The service refused the text (${status}).`, `${told}.`);
  return trouble(`The service failed (${status}).`, `${told}.${named(answer)}`);
}

/** @param {Answer} answer @returns {string} what the service says is wrong, without a full stop */
function reason({ body, status }) {
  const { message } = parse(body);
  return (typeof message === "string" && message.trim().replace(/\.$/, "")) || `It gave no reason for its ${status}`;
}

/** @param {Answer} answer @returns {string} by what the request is found in the service's log */
function named({ requestId, body }) {
  const id = requestId || parse(body).requestId;
  return id ? ` Request ${id}` : "";
}

/** @param {string} body @returns {Record<string, unknown>} its fields; none when it is not JSON */
function parse(body) {
  try {
    return Object(JSON.parse(body));
  } catch {
    return {};
  }
}

/** @param {string} url @returns {View} */
function tooLate(url) {
  const detail = `${new URL(url).host} took too long. Try again, or a shorter text.`;
  return trouble(`No answer within ${TIMEOUT / 1000} seconds.`, detail);
}

/** @param {string} url @returns {View} */
function unreachable(url) {
  const detail = `${new URL(url).host} did not answer. Is it running, and is its address in the options right?`;
  return trouble("The service cannot be reached.", detail);
}

/** @param {string} problem @param {string} detail @returns {View} */
export function trouble(problem, detail) {
  return { text: "", problem, detail };
}
