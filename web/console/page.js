// page.js - the console: what the server says each second, and what happens meanwhile

import {age, count, make, table} from "./numbers.js";
import {drawPicture} from "./picture.js";
import {HANDLER_HEADS, handlerRows, showDetail} from "./detail.js";

const EVENTS_MOST = 200;
const by = id => document.getElementById(id);
let status = null, open = null, wait = 500;

function showState(state, text) {
  by("state").textContent = text;
  by("state").dataset.state = state;
  document.body.classList.toggle("lost", state === "lost");
  by("banner").hidden = state !== "lost";
}

function showTotals() {
  const counter = (role, name) => status.actors.filter(actor => actor.role === role)
    .reduce((sum, actor) => sum + (actor.counters[name] ?? 0), 0);
  const rate = status.arrows.filter(arrow => /^(gateway|dispatcher)$/.test(arrow.from) && arrow.to.startsWith("worker-"))
    .reduce((sum, arrow) => sum + arrow.rate, 0);
  const rows = [["messages/s", count(rate)], ["clients", count(counter("gateway", "clients"))],
                ["connections", count(counter("sender", "connections"))], ["users", count(counter("sender", "users"))],
                ["groups", count(counter("sender", "groups"))]];
  by("totals").replaceChildren(...rows.map(([name, value]) => make("div", [make("dt", name), make("dd", value)])));
}

// Those of the cluster, as the sender sees them; the picture has how much goes to them and comes from them
function showNodes() {
  const counters = status.actors.find(actor => actor.role === "sender")?.counters ?? {};
  const names = Object.keys(counters).filter(name => name.startsWith("here:")).map(name => name.slice(5)).sort();
  const rows = names.map(name => [name, counters[`here:${name}`] ? "here" : "not here", count(counters[`to:app ${name}`] ?? 0),
                                  count(counters[`from:app ${name}`] ?? 0), count(counters[`link:${name}`] ?? 0)]);
  by("nodes").hidden = !status.node;
  by("node-table").replaceChildren(table(["app server", "state", "messages to it", "from it", "bytes that wait"], rows,
                                         "None: this one is alone."));
}

async function refreshDetail() {
  if (!open)
    return;
  const answer = await fetch(`../actor/${encodeURIComponent(open)}`);
  if (answer.ok)
    showDetail(await answer.json());
}

function choose(name) {
  open = open === name ? null : name;
  by("detail").hidden = !open;
  drawPicture(by("picture"), status, open, choose);
  refreshDetail();
}

function showStatus(fresh) {
  status = fresh;
  const hurt = status.actors.filter(actor => actor.state !== "up");
  const text = `${status.node ? `${status.node}: ` : ""}${status.state}${status.why ? `: ${status.why}` : ""} for ${age(status.uptime)}, version ${status.version}, process ${status.pid}`;
  showState(hurt.length ? "hurt" : status.state, hurt.map(actor => `${actor.name} is ${actor.state}; `).join("") + text);
  showTotals();
  showNodes();
  drawPicture(by("picture"), status, open, choose);
  by("handler-table").replaceChildren(table(HANDLER_HEADS, handlerRows(status.actors), "No handler has had a message yet."));
  by("socket-table").replaceChildren(table(["socket", "endpoint", "connections"],
    status.sockets.map(one => [one.name, one.endpoint, count(one.connections)]), "None: all actors are in this process."));
  refreshDetail().catch(() => {});    // The banner says when there is no server
}

function showEvent(event) {
  by("no-events").hidden = true;
  const parts = [make("span", new Date(event.at).toLocaleTimeString() + " ", {class: "dim"}),
                 make("span", event.actor + " ", {class: "who"}), make("span", event.text, {class: "text"})];
  if (event.cid)
    parts.push(make("span", ` ${event.cid}${event.msg ? " " + event.msg : ""}`, {class: "dim"}));
  by("event-list").prepend(make("li", parts, {"data-level": event.level, "data-kind": event.kind}));
  while (by("event-list").children.length > EVENTS_MOST)
    by("event-list").lastChild.remove();
}

function handle(message) {
  if (message.events) {
    by("event-list").replaceChildren();
    message.events.filter(event => event.kind !== "trace").forEach(showEvent);
  }
  if (message.status)
    showStatus(message.status);
  if (message.event)
    showEvent(message.event);
}

function connect() {
  const socket = new WebSocket(new URL("../live", location.href).href.replace(/^http/, "ws"));
  socket.onopen = () => { wait = 500; };
  socket.onmessage = message => handle(JSON.parse(message.data));
  socket.onclose = () => {
    showState("lost", "no connection");
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 10000);
  };
}

by("detail-close").addEventListener("click", () => choose(open));
window.addEventListener("resize", () => status && drawPicture(by("picture"), status, open, choose));
window.addEventListener("keydown", event => { if (event.key === "Escape" && open) choose(open); });
connect();
