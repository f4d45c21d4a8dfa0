// numbers.js - numbers as a person reads them

export function count(value) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e4]])
    if (value >= size)
      return (value / (unit === "k" ? 1e3 : size)).toPrecision(3).replace(/e\+\d+/, "") + unit;
  return String(Math.round(value));
}

// From microseconds
export function span(usec) {
  if (!usec)
    return "–";
  if (usec < 1000)
    return `${usec < 10 ? usec.toFixed(1) : Math.round(usec)} µs`;
  return usec < 1e6 ? `${(usec / 1000).toFixed(1)} ms` : `${(usec / 1e6).toFixed(1)} s`;
}

export function age(seconds) {
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

// An element with text, or with children
export function make(name, content, attributes = {}) {
  const element = document.createElement(name);
  if (Array.isArray(content))
    element.append(...content);
  else
    element.textContent = content;
  for (const [key, value] of Object.entries(attributes))
    element.setAttribute(key, value);
  return element;
}

// A table of rows, the first column left; nothing but a line when there are none
export function table(heads, rows, none) {
  if (!rows.length)
    return make("p", none, {class: "dim"});
  const body = [make("tr", heads.map(head => make("th", head))),
                ...rows.map(row => make("tr", row.map(cell => make("td", cell))))];
  return make("div", [make("table", body)], {class: "scroll"});
}
