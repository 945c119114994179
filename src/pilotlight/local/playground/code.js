// The request of a form as text to paste: curl, boto3 and fetch. Each can be run as it stands.

const shell = text => `'${text.replaceAll("'", "'\\''")}'`;
const url = path => new URL(path, location.href).href.replace(/[{}[\]]/g, each => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);  // which curl would expand
const quoted = name => `"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;  // in curl's -F
const nameOf = value => value.name || "file";

export function curl(request) {
  const method = request.method === "GET" ? [] : [`-X ${request.method}`];
  const headers = Object.entries(request.headers).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`);
  const parts = (request.parts ?? []).map(([name, value]) => value instanceof Blob
    ? `-F ${shell(`${name}=@${quoted(nameOf(value))}${value.type ? `;type=${value.type}` : ""}`)}` : `--form-string ${shell(`${name}=${value}`)}`);
  const body = bodyOf(request);
  return ["curl -s", ...method, shell(url(request.path)), ...headers, ...parts, ...body === null ? [] : [`--data-raw ${shell(body)}`]].join(" \\\n  ");
}

const bodyOf = request => request.text ?? (request.json === undefined ? null : JSON.stringify(request.json));

// `values` may have Files; `text` is an event that was written by hand.
export function boto3(key, values, text) {
  const files = hasFiles(values);
  const payload = text === undefined ? `json.dumps(${python(values)})` : python(text);
  return [
    ...files ? ["import base64"] : [], ...text === undefined ? ["import json"] : [], ...files ? ["from pathlib import Path"] : [], "",
    "import boto3", "",
    "# the server on this machine checks no credentials; leave out all but \"lambda\" for the deployed function",
    `client = boto3.client("lambda", endpoint_url=${JSON.stringify(location.origin)}, region_name="us-east-1",`,
    '                      aws_access_key_id="local", aws_secret_access_key="local")',
    `answer = client.invoke(FunctionName=${JSON.stringify(key)}, Payload=${payload})`,
    'print(answer["Payload"].read().decode())', "",
  ].join("\n");
}

const hasFiles = value => value instanceof Blob || typeof value === "object" && value !== null && Object.values(value).some(hasFiles);

// A literal of Python; texts of JSON are such.
function python(value) {
  if (value instanceof Blob) return `base64.b64encode(Path(${JSON.stringify(nameOf(value))}).read_bytes()).decode()`;
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}

export function fetched(request) {
  const address = JSON.stringify(url(request.path));
  const options = [`method: ${JSON.stringify(request.method)}`, ...Object.keys(request.headers).length ? [`headers: ${JSON.stringify(request.headers)}`] : []];
  const before = [];
  if (request.parts) {
    before.push("const body = new FormData();");
    for (const [name, value] of request.parts) {
      const given = value instanceof Blob ? `document.querySelector("input[type=file]").files[0]` : JSON.stringify(value);
      before.push(`body.append(${JSON.stringify(name)}, ${given});`);
    }
    options.push("body");
  } else if (bodyOf(request) !== null) {
    options.push(request.text === undefined ? `body: JSON.stringify(${JSON.stringify(request.json)})` : `body: ${JSON.stringify(request.text)}`);
  }
  return [...before, `const response = await fetch(${address}, {`, ...options.map(each => `  ${each},`), "});", "console.log(await response.text());", ""].join("\n");
}
