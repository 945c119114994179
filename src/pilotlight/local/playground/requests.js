// What a form's values become: the request to a route, or the event for the Invoke API.

const BODILESS = ["GET", "HEAD", "DELETE"];
const text = value => value instanceof Blob ? value : typeof value === "object" ? JSON.stringify(value) : String(value);
const texts = values => Object.entries(values).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map(each => [name, text(each)]));

// {method, path, headers, json | parts}: `json` is the value of the body, `parts` are [name, text or File] of a form.
export function build(route, values, { key, wantsJson } = {}) {
  let [method, path] = route.split(" ");
  if (method === "ANY") method = "POST";
  const rest = { ...values };
  path = path.replace(/\{([^}+]+)(\+?)\}/g, (_, name, greedy) => {
    const given = String(rest[name] ?? "");
    delete rest[name];
    return greedy ? given.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(given);
  });
  const headers = { ...wantsJson && { accept: "application/json, */*;q=0.8" }, ...key && { "x-api-key": key } };
  if (BODILESS.includes(method)) {
    const query = new URLSearchParams(texts(rest));
    return { method, path: query.size ? `${path}?${query}` : path, headers };
  }
  if (Object.values(rest).some(value => value instanceof Blob)) return { method, path, headers, parts: texts(rest) };
  return { method, path, headers: { "content-type": "application/json", ...headers }, json: rest };
}

// The event as it is written, sent as boto3 sends it.
export const invocation = (key, event) =>
  ({ method: "POST", path: `/2015-03-31/functions/${encodeURIComponent(key)}/invocations`, headers: { "content-type": "application/json", "x-amz-log-type": "Tail" }, text: event });

export function send(request, signal) {
  const { method, path, headers } = request;
  let body = request.text;
  if (request.json !== undefined) body = JSON.stringify(request.json);
  if (request.parts) {
    body = new FormData();
    for (const [name, value] of request.parts) body.append(name, value);
  }
  return fetch(path, { method, headers, body, signal, cache: "no-store" });
}

// Files as the base64 that an event has.
export async function event(values) {
  const base64 = async value => {
    if (!(value instanceof Blob)) return value;
    const bytes = new Uint8Array(await value.arrayBuffer());
    let binary = "";
    for (let start = 0; start < bytes.length; start += 32768) binary += String.fromCharCode(...bytes.subarray(start, start + 32768));
    return btoa(binary);
  };
  if (Array.isArray(values) || typeof values !== "object" || values === null) return values;
  return Object.fromEntries(await Promise.all(Object.entries(values).map(async ([name, value]) => [name, await base64(value)])));
}
