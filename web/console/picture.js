// picture.js - the actors as boxes, what flows between them as arrows
//
// Each actor has a layer on the way of a message, and in it a lane. In a wide window layers go from
// left to right, in a narrow one from top to bottom.

import {count, span} from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 138, HEIGHT = 62;
const LAYERS = {"*clients": 0, "*gateways": 0, gateway: 1, receiver: 2, sender: 2, dispatcher: 3, worker: 4};

function draw(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes))
    element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function layerOf(name, arrows) {
  const role = name.replace(/-\d+$/, "");
  if (role in LAYERS)
    return LAYERS[role];
  if (name.startsWith("*"))
    return arrows.some(arrow => (arrow.from === "gateway" || arrow.from === "sender") && arrow.to === name) ? 0 : 6;
  return 5;    // Stores, pools, links
}

// Who is in the picture: all actors but the console, and who of the outside has ever said something
function nodesOf(status) {
  const names = status.actors.map(actor => actor.name).filter(name => name !== "console");
  for (const arrow of status.arrows)
    for (const end of [arrow.from, arrow.to])
      if (end.startsWith("*") && arrow.total && !names.includes(end))
        names.push(end);
  if (names.includes("gateway") && !names.includes("*clients"))
    names.push("*clients");
  return names;
}

// Where each box is: its middle
function place(status, narrow) {
  const layers = [];
  for (const name of nodesOf(status)) {
    const layer = layerOf(name, status.arrows);
    (layers[layer] ??= []).push(name);
  }
  const used = layers.filter(Boolean);
  const most = Math.max(narrow ? 2 : 3, ...used.map(layer => layer.length));
  const along = narrow ? 124 : 218, across = narrow ? 156 : 100;
  const places = new Map();
  used.forEach((layer, nbr) => layer.forEach((name, lane) => {
    let at = (most - layer.length) / 2 + lane;
    if (layer.length === 1 && /^(receiver|dispatcher)$/.test(name))
      at = 0;    // Up above, so that the way back passes below
    if (/^(receiver|sender)$/.test(name) && layer.length === 2)
      at = name === "receiver" ? 0 : most - 1;    // The way back
    const [main, side] = [(nbr + .5) * along, (at + .5) * across];
    places.set(name, narrow ? {x: side, y: main} : {x: main, y: side});
  }));
  const [long, wide] = [used.length * along, most * across];
  return {places, width: narrow ? wide : long, height: narrow ? long : wide};
}

// From the edge of one box to that of the other, bent a little so that there and back stay apart
function path(from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y], far = Math.hypot(dx, dy) || 1;
  const edge = (x, y) => Math.min((WIDTH / 2 + 4) / Math.max(Math.abs(x), .01), (HEIGHT / 2 + 4) / Math.max(Math.abs(y), .01));
  const bend = {x: -dy / far * 26, y: dx / far * 26};
  const middle = {x: (from.x + to.x) / 2 + bend.x, y: (from.y + to.y) / 2 + bend.y};
  const point = box => {
    const [x, y] = [middle.x - box.x, middle.y - box.y], share = edge(x, y);
    return {x: box.x + x * share, y: box.y + y * share};
  };
  const [start, end] = [point(from), point(to)];
  // The label nearer to the start, so that those of there and back don't meet
  const share = .3, on = axis => (1 - share) ** 2 * start[axis] + 2 * share * (1 - share) * middle[axis] + share ** 2 * end[axis];
  return {line: `M${start.x},${start.y} Q${middle.x},${middle.y} ${end.x},${end.y}`, label: {x: on("x"), y: on("y")}};
}

function fullness(actor) {
  const share = actor.limit ? actor.mailbox / actor.limit : 0;
  return share > .8 ? "hot" : share > .4 || actor.busy > .9 ? "warm" : "good";
}

function drawBox(actor, {x, y}, open, choose) {
  const share = actor.limit ? Math.min(1, actor.mailbox / actor.limit) : 0, [left, top] = [x - WIDTH / 2, y - HEIGHT / 2];
  const waits = actor.limit ? `${count(actor.mailbox)} of ${count(actor.limit)} wait` : "";
  const box = draw("g", {class: "box" + (open ? " open" : ""), tabindex: 0, role: "button", "data-actor": actor.name,
                         "data-state": actor.state, "data-fullness": fullness(actor),
                         "aria-label": `${actor.name}: ${actor.state}, ${waits}`},
    draw("rect", {class: "frame", x: left, y: top, width: WIDTH, height: HEIGHT, rx: 8}),
    draw("text", {class: "name", x: left + 9, y: top + 18}, actor.name),
    draw("text", {class: "small", x: left + WIDTH - 9, y: top + 18, "text-anchor": "end"},
         actor.state === "up" ? `${Math.round(actor.busy * 100)} %` : actor.state),
    draw("text", {class: "small", x: left + 9, y: top + 34}, waits),
    draw("text", {class: "small", x: left + 9, y: top + 48}, actor.p99 ? `p99 ${span(actor.p99)}` : "idle"),
    draw("rect", {class: "trough", x: left + 9, y: top + 52, width: WIDTH - 18, height: 4, rx: 2}),
    draw("rect", {class: "fill", x: left + 9, y: top + 52, width: (WIDTH - 18) * share, height: 4, rx: 2}));
  box.addEventListener("click", () => choose(actor.name));
  box.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") choose(actor.name); });
  return box;
}

function drawOutside(name, {x, y}) {
  return draw("g", {class: "outside"},
    draw("rect", {x: x - WIDTH / 2, y: y - 16, width: WIDTH, height: 32, rx: 16}),
    draw("text", {x, y: y + 4, "text-anchor": "middle"}, name.slice(1)));
}

function drawArrow(arrow, places) {
  const {line, label} = path(places.get(arrow.from), places.get(arrow.to));
  const moves = arrow.rate >= .5;
  const parts = [draw("path", {class: "arrow" + (moves ? " moves" : ""), d: line, "marker-end": `url(#${moves ? "moves" : "still"})`})];
  if (moves)
    parts.push(draw("text", {class: "rate", x: label.x, y: label.y + 4, "text-anchor": "middle"}, `${count(arrow.rate)}/s`));
  return draw("g", {"data-arrow": `${arrow.from} ${arrow.to}`}, ...parts);
}

export function drawPicture(into, status, open, choose) {
  const focused = document.activeElement?.getAttribute?.("data-actor");
  const {places, width, height} = place(status, into.clientWidth < 700);
  const heads = ["still", "moves"].map(id =>
    draw("marker", {id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto"},
         draw("path", {d: "M0,0 L8,4 L0,8 z"})));
  const svg = draw("svg", {class: "flow", viewBox: `0 0 ${width} ${height}`}, draw("defs", {}, ...heads));
  for (const arrow of status.arrows)
    if (places.has(arrow.from) && places.has(arrow.to) && arrow.total)
      svg.append(drawArrow(arrow, places));
  for (const actor of status.actors)
    if (places.has(actor.name))
      svg.append(drawBox(actor, places.get(actor.name), actor.name === open, choose));
  for (const [name, where] of places)
    if (name.startsWith("*"))
      svg.append(drawOutside(name, where));
  into.replaceChildren(svg);
  if (focused)
    svg.querySelector(`[data-actor="${focused}"]`)?.focus();
}
