// Elements by construction. What is given as text stays text: ids of items and vendors' messages are not trusted.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function grown(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

const el = (name, attributes, ...children) => grown(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => grown(document.createElementNS(SVG, name), attributes, children);

// Makes what stands there like what should: in place, so that focus, scrolling and opened details stay.
function become(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const mine = [...old.childNodes];
    const its = [...fresh.childNodes];
    its.forEach((child, at) => (at < mine.length ? become(mine[at], child) : old.append(child)));
    mine.slice(its.length).forEach((child) => child.remove());
  }
}

function show(id, ...children) {
  const place = byId(id);
  become(place, grown(place.cloneNode(false), {}, children));
}

// A table with a caption. On a phone its rows become cards, so each cell says what it is; the roles keep it a table.
function table(caption, columns, rows) {
  const head = columns.map(({ name, kind }) => el("th", { scope: "col", role: "columnheader", class: kind }, name));
  const body = rows.map((cells) => el("tr", { role: "row" }, cells.map((cell, at) => {
    const { name, kind } = columns[at];
    const its = { class: kind, "data-label": name, role: at ? "cell" : "rowheader", scope: at ? null : "row" };
    return el(at ? "td" : "th", its, el("div", null, cell));
  })));
  return el("table", { role: "table" },
    el("caption", null, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)),
    el("tbody", { role: "rowgroup" }, body));
}
