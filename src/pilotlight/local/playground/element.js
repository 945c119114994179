// Nodes of the page. Text goes in as text nodes only, so that nothing that a function or a client says is ever markup.

export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in node && name !== "list" && name !== "form") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

export const quiet = (...text) => element("p", { className: "quiet" }, ...text);
export const bad = (...text) => element("p", { className: "bad", role: "alert" }, ...text);

export function button(text, onclick, properties = {}) {
  return element("button", { type: "button", onclick, ...properties }, text);
}

// A table with a caption; columns are {name, of: row => text or node, number}.
export function table(caption, columns, rows, foot) {
  const cell = (tag, column, content) => element(tag, { className: column.number ? "number" : "" }, content ?? "");
  const head = columns.map(column => element("th", { scope: "col", className: column.number ? "number" : "" }, column.name));
  return element("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": caption },
    element("table", {},
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, head)),
      element("tbody", {}, rows.map(row => element("tr", {}, columns.map(column => cell("td", column, column.of(row)))))),
      foot && element("tfoot", {}, element("tr", {}, columns.map((column, index) => cell("td", column, foot[index]))))));
}
