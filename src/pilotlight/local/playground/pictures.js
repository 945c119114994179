// A field for a picture: dropped, pasted, chosen, or taken by the camera. What a saved event has stays the base64 that it is.

import { button, element, quiet } from "./element.js";

export function pictureField(name, id, schema, changed) {
  let held;  // a File, a base64 text, or undefined
  const choose = element("input", { type: "file", name, id, accept: "image/*" });
  const camera = element("input", { type: "file", accept: "image/*", hidden: true });
  camera.setAttribute("capture", "environment");
  const picture = element("img", { alt: "", className: "picture" });
  const said = quiet("Drop a picture here, paste one, or choose a file.");
  const clear = button("Remove", () => { choose.value = ""; hold(undefined); changed(); choose.focus(); }, { className: "small", hidden: true });
  const hold = value => {
    URL.revokeObjectURL(picture.src);
    picture.removeAttribute("src");
    held = value;
    clear.hidden = !value;
    said.textContent = value ? told(value) : "Drop a picture here, paste one, or choose a file.";
    const shown = value && blob(value);
    if (shown) picture.src = URL.createObjectURL(shown);
  };
  const take = found => { if (found) { hold(found); changed(); } };
  choose.onchange = () => take(choose.files[0]);
  camera.onchange = () => { choose.value = ""; take(camera.files[0]); };
  picture.onerror = () => picture.removeAttribute("src");
  const first = list => [...list ?? []].find(each => each.type.startsWith("image/"));
  const place = element("div", { className: "drop" }, choose, element("div", { className: "row" }, button("Camera", () => camera.click(), { className: "small" }), clear, said), camera, picture);
  place.ondragover = event => { event.preventDefault(); place.classList.add("over"); };
  place.ondragleave = () => place.classList.remove("over");
  place.ondrop = event => { event.preventDefault(); place.classList.remove("over"); choose.value = ""; take(first(event.dataTransfer.files)); };
  return {
    node: place, isWide: true, read: () => held, fill: value => { choose.value = ""; hold(typeof value === "string" && value ? value : undefined); },
    paste: event => { const found = first(event.clipboardData?.files); if (found) { event.preventDefault(); choose.value = ""; take(found); } },
  };
}

const told = value => value instanceof File ? `${value.name || "picture"}, ${value.size.toLocaleString("en")} bytes` : `from the event, ${value.length.toLocaleString("en")} characters of base64`;

// The bytes of a File, a `data:` URL or a base64 text; null for what is none of them.
export function blob(value) {
  if (value instanceof Blob) return value;
  try {
    const text = atob(String(value).replace(/^data:[^,]*,/, ""));
    return new Blob([Uint8Array.from(text, each => each.charCodeAt(0))]);
  } catch { return null; }
}
