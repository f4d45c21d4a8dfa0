// detail.js - one actor: its last minutes, its last errors, its handlers, its counters

import {age, count, make, span, table} from "./numbers.js";

const CHARTS = [["mailbox", "messages that wait", count], ["in", "in a second", count], ["out", "out a second", count],
                ["busy", "share of a core", value => `${Math.round(value * 100)} %`]];
const SVG = "http://www.w3.org/2000/svg";

function chart(title, values, format) {
  const most = Math.max(...values, 0), svg = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
  svg.setAttribute("viewBox", "0 0 300 100");
  svg.setAttribute("preserveAspectRatio", "none");
  const first = 300 - values.length;    // Five minutes; now is at the right
  line.setAttribute("points", values.map((value, nbr) => `${first + nbr},${most ? 97 - 94 * value / most : 97}`).join(" "));
  svg.append(line);
  const now = values.at(-1) ?? 0;
  return make("figure", [make("figcaption", [make("span", title), make("span", `${format(now)}, at most ${format(most)}`)]), svg]);
}

export function handlerRows(actors) {
  const rows = [];
  for (const actor of actors)
    for (const one of actor.handlers ?? [])
      rows.push([one, [one.name, actor.name, count(one.count), count(one.rate), count(one.failed), span(one.p50), span(one.p99),
                       span(one.whole_p99)]]);
  return rows.sort((one, two) => two[0].rate - one[0].rate || two[0].count - one[0].count).map(row => row[1]);
}

export const HANDLER_HEADS = ["handler", "worker", "messages", "a second", "failed", "p50", "p99", "p99 with waiting"];

export function showDetail(actor) {
  const by = id => document.getElementById(id);
  by("detail-name").textContent = actor.name;
  by("detail-state").textContent = `${actor.state} for ${age(actor.uptime)}, ${actor.restarts} restarts, ${count(actor.errors)} faults; ` +
    `p50 ${span(actor.p50)}, p99 ${span(actor.p99)}`;
  by("detail-charts").replaceChildren(...CHARTS.map(([name, title, format]) => chart(title, actor.history[name], format)));
  const errors = actor.last_errors.toReversed().map(line => {
    const [, at, , text] = /^(\d+) (\w) (.*)$/s.exec(line);
    return make("li", `${new Date(+at).toLocaleTimeString()} ${text}`);
  });
  by("detail-errors").replaceChildren(errors.length ? make("ul", errors, {class: "errors"})
                                                    : make("p", "No errors and warnings.", {class: "dim"}));
  by("detail-handlers").replaceChildren(...(actor.handlers ? [table(HANDLER_HEADS, handlerRows([actor]), "No messages yet.")] : []));
  const rows = Object.entries(actor.counters).map(([name, value]) => make("tr", [make("td", name), make("td", value.toLocaleString())]));
  by("detail-counters").replaceChildren(...rows);
}
