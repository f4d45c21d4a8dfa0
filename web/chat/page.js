// page.js - the chat page: what a person sees and does

import {Link} from "./link.js";
import {Outbox, Talk} from "./talks.js";

const PAGE = 50;          // Messages asked for at once
const GAP = "gap";        // Asked for what is missing, not for what came before
const ACK_PAUSE = 200;    // msec; acks of many messages are joined

const $ = id => document.getElementById(id);
let link, outbox, me, open, ackTimer;
let limits = {attachment: Infinity, message: Infinity};    // bytes, as the server says at the bind
const talks = new Map();

// ---------------------------------------------------------------------------
// Talks

function talkOf(conversation) {
  if (!talks.has(conversation))
    talks.set(conversation, new Talk(conversation, me));
  return talks.get(conversation);
}

// The name of a talk of two: both users in the order of their UTF-8 bytes, as the server has it
function conversationWith(uid) {
  const bytes = text => Array.from(new TextEncoder().encode(text), byte => String.fromCharCode(byte)).join("");
  return bytes(me) <= bytes(uid) ? `${me},${uid}` : `${uid},${me}`;
}

function conversationOf(content) {
  if (content.chatGroupID)
    return content.chatGroupID;
  return conversationWith(content.fromAccountID === me ? content.toAccountID : content.fromAccountID);
}

function messageOf(chat, attachment) {
  const content = chat.content;
  return {seq: chat.seq, at: chat.at ?? Number(content.fromTimestamp) * 1000, from: content.fromAccountID,
          text: content.text ?? "", chatID: content.chatID, fileName: content.fileName, attachment,
          bytes: chat.bytes, state: content.fromAccountID === me ? "stored" : undefined};
}

function timeOf(at) {
  const date = new Date(at), today = new Date();
  const time = date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
  return date.toDateString() === today.toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

// Tells the server what is here without a gap, and asks for what is missing
function ackSoon() {
  clearTimeout(ackTimer);
  ackTimer = setTimeout(() => {
    for (const talk of talks.values()) {
      if (talk.acked > (talk.told ?? 0) && link.send({action: "ack", conversation: talk.conversation, seq: talk.acked}))
        talk.told = talk.acked;
      if (talk.seen.size && talk.asked !== talk.acked) {
        talk.asked = talk.acked;
        link.send({action: "history", conversation: talk.conversation, after: talk.acked, limit: PAGE,
                   requestID: GAP});
      }
    }
  }, ACK_PAUSE);
}

// ---------------------------------------------------------------------------
// What the server says

function onChat(chat, attachment) {
  const talk = talkOf(conversationOf(chat.content));
  if (talk.add(messageOf(chat, attachment)) && (talk !== open || document.hidden) && chat.content.fromAccountID !== me)
    talk.unread++;
  ackSoon();
  show(talk);
}

function onChatAnswer(answer) {
  if (answer.code === "not-bound" || answer.code === "store-unavailable")
    return link.again();    // It stays in the outbox and is sent after the next bind
  outbox.remove(answer.chatID);
  for (const talk of talks.values()) {
    const message = talk.messages.find(one => one.chatID === answer.chatID && one.from === me);
    if (!message)
      continue;
    if (answer.code === "ok") {
      Object.assign(message, {seq: answer.seq, at: answer.at, state: "stored"});
      if (answer.seq)
        talk.note(answer.seq);
      talk.sort();
      ackSoon();
    } else {
      Object.assign(message, {state: "failed", why: answer.message});
    }
    show(talk);
  }
}

function onGroups(answer) {
  for (const row of answer.talks) {
    const talk = talkOf(row.conversation);
    talk.last = Math.max(talk.last, row.last);
    talk.delivered = Math.max(talk.delivered, row.delivered ?? 0);
    if (row.acked > talk.acked) {
      talk.acked = talk.told = row.acked;
      talk.note(0);
      while (talk.seen.delete(talk.acked + 1))
        talk.acked++;
    }
  }
  for (const gid of answer.groups)
    talkOf(gid);
  if (answer.more)
    link.send({action: "groups", after: answer.talks.at(-1).conversation});
  showTalks();
  if (open)
    load(open);
}

function onHistory(answer) {
  if (answer.code !== "ok")
    return;
  const talk = talkOf(answer.conversation), list = $("messages");
  const bottom = list.scrollHeight - list.scrollTop;
  talk.last = Math.max(talk.last, answer.last);
  for (const chat of answer.messages)
    talk.add(messageOf(chat));
  if (answer.requestID === GAP) {
    talk.asked = undefined;
    ackSoon();
    return show(talk, true);
  }
  talk.complete ||= talk.first() <= 1 || answer.messages.length === 0;
  talk.loading = false;
  ackSoon();
  show(talk, true);
  if (talk === open && talk.loadedMore)
    list.scrollTop = list.scrollHeight - bottom;    // What one reads stays where it is
  talk.loadedMore = false;
}

function onAcked(note) {
  const talk = talkOf(note.conversation);
  talk.delivered = Math.max(talk.delivered, note.seq);
  show(talk);
}

function onJoined(answer) {
  if (answer.code !== "ok")
    return notify(answer.message);
  openTalk(talkOf(answer.groupID));
  link.send({action: "groupMembers", groupID: answer.groupID});
}

function onLeft(answer) {
  if (answer.code !== "ok")
    return notify(answer.message);
  talks.delete(answer.groupID);
  if (open?.conversation === answer.groupID) {
    keepDraft();
    open = undefined;
  }
  showTalks();
  showMessages();
}

function onMembers(answer) {
  if (answer.code === "ok" && open?.conversation === answer.groupID)
    $("members").textContent = answer.members.join(", ");
}

function onBound(answer) {
  Object.assign(limits, answer.limits);
  $("sign-in").hidden = true;
  $("chat").hidden = false;
  $("banner").hidden = true;
  $("state").className = "state on";
  $("state").title = "connected";
  link.send({action: "groups"});
  for (const [chatID, chat] of outbox.chats) {
    const talk = talkOf(conversationOf(chat.content));
    talk.add({...messageOf(chat), at: Number(chat.content.fromTimestamp) * 1000, state: "sent"});
    link.send(chat, outbox.attachments.get(chatID));
  }
  for (const talk of talks.values())
    talk.told = undefined;
  ackSoon();
}

function onLost(reason, seconds) {
  $("state").className = "state";
  $("state").title = "not connected";
  $("banner").hidden = false;
  $("banner").firstElementChild.textContent =
    `No connection${reason ? ` (${reason})` : ""}. Messages wait here; next attempt in ${seconds} s.`;
  $("sign-in-error").textContent = $("chat").hidden ? "The server can't be reached; trying again." : "";
}

function onRefused(answer) {
  $("chat").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = answer.message;
  $("token-label").hidden = answer.code !== "not-allowed";
}

// ---------------------------------------------------------------------------
// What the person does

function deviceOf(uid) {
  const key = "rookery-device-" + uid;
  // A tab of its own is a device of its own: two tabs of one user both get everything
  if (!sessionStorage.getItem(key))
    sessionStorage.setItem(key, "web-" + crypto.getRandomValues(new Uint32Array(2)).join(""));
  return sessionStorage.getItem(key);
}

function signIn(uid, token) {
  me = uid;
  talks.clear();
  open = undefined;
  outbox = new Outbox(uid);
  $("me").textContent = uid;
  document.title = `${uid} – Rookery chat`;
  sessionStorage.setItem("rookery-uid", uid);
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  link = new Link(`${scheme}//${location.host}/ws`, uid, token, deviceOf(uid));
  link.on("bound", onBound).on("lost", onLost).on("refused", onRefused)
    .on("chat", onChat).on("chatGroup", onChat).on("chatRsp", onChatAnswer).on("chatGroupRsp", onChatAnswer)
    .on("groupsRsp", onGroups).on("historyRsp", onHistory).on("acked", onAcked)
    .on("groupJoinRsp", onJoined).on("groupLeaveRsp", onLeft).on("groupMembersRsp", onMembers)
    .on("error", answer => notify(answer.message));
  link.open();
}

function load(talk, more) {
  if (talk.loading || talk.complete || (!more && talk.messages.some(message => message.seq === talk.last)))
    return;
  talk.loading = true;
  talk.loadedMore = more;
  const before = more ? talk.first() : undefined;
  if (!link.send({action: "history", conversation: talk.conversation, before, limit: PAGE}))
    talk.loading = false;
}

// What is written and not sent stays with its talk
function keepDraft(talk) {
  if (open)
    open.draft = $("text").value;
  $("text").value = talk?.draft ?? "";
}

function openTalk(talk) {
  if (talk !== open)
    keepDraft(talk);
  open = talk;
  talk.unread = 0;
  $("chat").classList.add("reading");
  $("members").textContent = "";
  if (talk.group)
    link.send({action: "groupMembers", groupID: talk.conversation});
  load(talk);
  showTalks();
  showMessages();
  $("text").focus();
}

const sizeOf = bytes => bytes < 1e6 ? `${Math.ceil(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;

// Why so many bytes can't be sent, before anybody tries; or nothing
function tooLarge(what, bytes, most) {
  return bytes > most ? `${what} has ${sizeOf(bytes)}; ${sizeOf(most)} can be sent at most.` : "";
}

// False when it can't be sent, which is said
function sendChat(talk, text, file, attachment) {
  const content = {fromAccountID: me, fromTimestamp: String(Math.floor(Date.now() / 1000)),
                   chatID: crypto.getRandomValues(new Uint32Array(4)).join("-"), text};
  if (attachment)
    Object.assign(content, {isBytes: 1, fileName: file.name, fileType: file.type});
  content[talk.group ? "chatGroupID" : "toAccountID"] = talk.group ? talk.conversation : talk.name;
  const chat = {action: talk.group ? "chatGroup" : "chat", content};
  const size = new TextEncoder().encode(JSON.stringify(chat)).length + (attachment?.byteLength ?? 0);
  const why = tooLarge("The message", size, limits.message);
  if (why) {
    notify(why);
    return false;
  }
  outbox.put(chat, attachment);
  talk.add({...messageOf(chat, attachment), at: Date.now(), state: "sent"});
  if (link.bound)
    link.send(chat, attachment);
  showTalks();
  showMessages();
  $("messages").scrollTop = $("messages").scrollHeight;
  return true;
}

function notify(text) {
  const note = document.createElement("li");
  note.className = "note error";
  note.textContent = text;
  $("messages").append(note);
  note.scrollIntoView();
}

// ---------------------------------------------------------------------------
// What the person sees

const MARKS = {sent: ["…", "sent, not answered yet"], stored: ["✓", "stored by the server"],
               delivered: ["✓✓", "delivered"], failed: ["!", "not accepted"]};

function attachmentNode(message) {
  if (!message.attachment)
    return message.bytes ? message.fileName ?? "(attachment)" : "";
  const url = message.url ??= URL.createObjectURL(new Blob([message.attachment]));
  const node = document.createElement(/\.(png|jpe?g|gif|webp)$/i.test(message.fileName ?? "") ? "img" : "a");
  node.src = node.href = url;
  node.alt = node.textContent = node.download = message.fileName ?? "attachment";
  return node;
}

function messageNode(talk, message) {
  const node = document.createElement("li"), foot = document.createElement("span");
  const state = message.from === me ? talk.stateOf(message) : undefined;
  node.className = message.from === me ? "mine" : "";
  node.classList.toggle("failed", state === "failed");
  node.dataset.state = state ?? "";
  if (talk.group && message.from !== me) {
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = message.from;
    node.append(who);
  }
  foot.className = "foot";
  foot.textContent = timeOf(message.at) + (state ? ` ${MARKS[state][0]}` : "");
  foot.title = state ? MARKS[state][1] : "";
  node.append(message.text, attachmentNode(message), foot);
  if (message.why) {
    const why = document.createElement("span");
    why.className = "why";
    why.textContent = message.why;
    node.append(why);
  }
  return node;
}

function showMessages() {
  const list = $("messages");
  $("title").textContent = open ? (open.group ? "#" : "") + open.name : "Choose a talk";
  $("leave").hidden = !open?.group;
  $("text").disabled = $("send").lastElementChild.disabled = !open;
  if (!open)
    $("chat").classList.remove("reading");
  list.replaceChildren(...(open?.messages ?? []).map(message => messageNode(open, message)));
}

function showTalks() {
  const rows = [...talks.values()].sort((a, b) => (b.messages.at(-1)?.at ?? 0) - (a.messages.at(-1)?.at ?? 0));
  $("talks").replaceChildren(...rows.map(talk => {
    const row = document.createElement("li"), button = document.createElement("button");
    const name = document.createElement("span"), last = document.createElement("span");
    name.textContent = (talk.group ? "#" : "") + talk.name;
    last.className = "last dim";
    last.textContent = talk.messages.at(-1)?.text || talk.messages.at(-1)?.fileName || "";
    button.className = talk === open ? "open" : "";
    button.append(name);
    if (talk.unread) {
      const unread = document.createElement("span");
      unread.className = "unread";
      unread.textContent = talk.unread;
      button.append(unread);
    }
    button.append(last);
    button.onclick = () => openTalk(talk);
    row.append(button);
    return row;
  }));
}

let pending;

// Draws at most once a frame, however many messages come
function show(talk, keep) {
  if (pending)
    return;
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const draw = () => {
    pending = undefined;
    showTalks();
    showMessages();
    if (atEnd && !talk.loadedMore)
      list.scrollTop = list.scrollHeight;
  };
  if (keep)
    draw();
  else
    pending = setTimeout(draw, 16);
}

// ---------------------------------------------------------------------------
// The page's own events

$("sign-in-form").onsubmit = event => {
  event.preventDefault();
  link?.close();
  $("sign-in-error").textContent = "";
  signIn($("name").value.trim(), $("token").value.trim());
};
$("sign-out").onclick = () => {
  link.close();
  sessionStorage.removeItem("rookery-uid");
  location.reload();
};
$("new-talk").onsubmit = event => {
  event.preventDefault();
  const name = $("new-name").value.trim();
  $("new-name").value = "";
  if (name.startsWith("#") && name.length > 1)
    link.send({action: "groupJoin", groupID: name.slice(1)});
  else if (name && /^[^\s,]+$/.test(name))
    openTalk(talkOf(conversationWith(name)));
  else if (name)
    notify("A name has no spaces and no commas.");
};
$("send").onsubmit = event => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text && open && !sendChat(open, text))
    return;
  $("text").value = "";
};
$("file").onchange = async () => {
  const file = $("file").files[0], talk = open;
  $("file").value = "";
  if (!file || !talk)
    return;
  const why = tooLarge(file.name, file.size, limits.attachment);
  if (why)
    notify(why);
  else
    sendChat(talk, "", file, await file.arrayBuffer());
};
$("leave").onclick = () => link.send({action: "groupLeave", groupID: open.conversation});
$("back").onclick = () => $("chat").classList.remove("reading");
$("banner").lastElementChild.onclick = () => link.open();
$("messages").onscroll = () => {
  if (open && $("messages").scrollTop < 60)
    load(open, true);
};
const before = sessionStorage.getItem("rookery-uid");
if (before)
  signIn(before, "");
