// Requests to the server's own pages. What it refuses is an Error with its message.

export async function get(path, signal) {
  return answered(await fetch(path, { signal, cache: "no-store" }));
}

export async function send(method, path, body, signal) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  return answered(await fetch(path, { method, signal, headers, body: body === undefined ? undefined : JSON.stringify(body) }));
}

async function answered(response) {
  const text = await response.text();
  let value = null;
  try { value = text ? JSON.parse(text) : null; } catch { /* none of ours: said below */ }
  if (!response.ok) throw new Error(value?.message ?? `the server answered ${response.status}`);
  return value;
}
