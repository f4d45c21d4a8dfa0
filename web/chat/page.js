// page.js - the chat page: what a person does, and what the server says

import {IndexedOutbox, Rookery, RookeryError, conversationIn, conversationOf} from "./client/rookery.js";
import {List} from "./list.js";
import {Messages} from "./messages.js";
import {askForNotices, notice} from "./notices.js";
import {deviceOf, forget, remember, remembered, socketURL} from "./session.js";
import {Talk} from "./talk.js";
import {grow, inWords, lastSeen, tooLarge} from "./text.js";

const PAGE = 50, LISTED = 100;             // Messages, conversations asked for at once
const TYPING_EACH = 3000, TYPING_SHOWN = 5000, READ_PAUSE = 300;    // msec
const WATCHED = 50;                        // Users of the list whose coming and going is shown

const $ = id => document.getElementById(id);
const talks = new Map(), here = new Map(), watched = new Set();    // conversation -> Talk, uid -> {online, seen}, uids
let rookery, me, open, editing, replying, readTimer, typedAt = 0, drawing;

const list = new List($("talks"), talk => openTalk(talk));
const messages = new Messages($("messages"), $("more"), {
  seen: () => readSoon(), reply: entry => begin("replying", entry), edit: entry => begin("editing", entry), again: entry => sayAgain(entry),
  recall: entry => ask("recall", {conversation: open.conversation, seq: entry.seq}),
  react: (entry, key, on = true) => ask("react", {conversation: open.conversation, seq: entry.seq, key, on}).then(answer => {
    if (answer?.seq)
      took({action: "react", conversation: answer.conversation, of: entry.seq, key, on, uid: me, seq: answer.seq, at: answer.at});
  }),
  fetch: entry => fetchAttachment(entry)}, talk => loadBefore(talk));

function talkOf(conversation) {
  if (!talks.has(conversation))
    talks.set(conversation, new Talk(conversation, me));
  return talks.get(conversation);
}

// Draws the list, the head and the title at most once a frame
function draw() {
  drawing ??= requestAnimationFrame(() => {
    drawing = undefined;
    list.show(new Set(talks.values()), open, talk => Boolean(here.get(talk.uid)?.online));
    const unread = [...talks.values()].filter(talk => !(talk.mutedTill > Date.now())).reduce((sum, talk) => sum + (talk.unread ? 1 : 0), 0);
    document.title = `${unread ? `(${unread}) ` : ""}${me} – Rookery chat`;
    $("nothing").hidden = talks.size > 0;
    drawHead();
  });
}

function drawHead() {
  const state = open && !open.group ? here.get(open.uid) : undefined;
  $("title").textContent = open ? open.title : "Choose a talk";
  $("leave").hidden = !open?.group;
  $("text").disabled = $("send-button").disabled = $("file").disabled = !open;
  $("chat").classList.toggle("reading", Boolean(open));
  $("presence").textContent = open?.typing ? `${open.typing} is typing …` : state?.online ? "here now" : lastSeen(state?.seen);
}

// Asks the server; what it refuses is said in people's words
async function ask(action, fields) {
  try {
    return await rookery.ask(action, fields);
  } catch (error) {
    if (!(error instanceof RookeryError))
      throw error;
    messages.note(inWords(error, open?.title ?? "it"));
    return undefined;
  }
}

// ---------------------------------------------------------------------------
// What the server says

// A message with a seq, of somebody else or of another device, or an own change that was answered
function took(message) {
  const talk = talkOf(message.conversation), [entry, isNew] = talk.take(message);
  const said = message.action === "chat" || message.action === "chatGroup" || message.action === "groupChanged";
  if (said && isNew) {
    talk.at = message.at;
    talk.preview = entry.note ?? (entry.text || entry.fileName || "");
    watch([talk.uid]);
    if (talk.typing === entry.from)
      talk.typing = undefined;
    if (entry.from && entry.from !== me && (talk !== open || document.hidden || !messages.atEnd()))
      talk.unread++;
  }
  if (talk === open && entry)
    messages.show(entry, isNew);
  if (talk === open)
    readSoon();
  if (said && isNew && entry.from && entry.from !== me)
    notice(talk, entry, openTalk);
  draw();
}

function answered(talk, entry, {seq, at}) {
  talk.put({...entry, seq: seq ?? entry.seq, at, state: "stored", why: undefined});
  watch([talk.uid]);
}

function onAnswered(answer, {content}) {
  const talk = talkOf(conversationIn(content));
  const entry = talk.byChatID.get(content.chatID);
  if (!entry)
    return;
  if (answer.code === "ok")
    answered(talk, entry, answer);
  else
    Object.assign(entry, {state: "failed", why: `${inWords(answer, talk.title)} `});
  if (answer.known === false)
    messages.note(`Nobody has ever been here as ${talk.name}; the message waits for whoever comes by that name.`);
  if (talk === open)
    messages.show(entry, false);
  draw();
}

async function onConnected(answer) {
  $("sign-in").hidden = true;
  $("chat").hidden = false;
  $("banner").hidden = true;
  $("state").className = "state on";
  $("state").title = "connected";
  let after;
  do {    // The first page is shown while the others come
    const page = await rookery.ask("conversations", {limit: LISTED, ...(after && {after})}).catch(() => undefined);
    for (const row of page?.conversations ?? [])
      talkOf(row.conversation).update(row);
    if (!after)
      watchList();
    after = page?.next;
    draw();
  } while (after && rookery.connected);
  for (const gid of answer.groups)
    talkOf(gid);
  if (open)
    loadAfter(open);
  draw();
}

// Whether these users are here, from now on; of whom one has never talked to the server says nothing
function watch(uids) {
  const fresh = uids.filter(uid => uid && !watched.has(uid));
  if (fresh.length)
    rookery.ask("presence", {subscribe: fresh}).then(({users}) => {
      for (const {uid, seen} of users) {
        watched.add(uid);
        here.set(uid, {...here.get(uid), seen: here.get(uid)?.seen ?? seen});
      }
      draw();
    }, () => {});
}

// Those of the talks at the top of the list
function watchList() {
  watched.clear();
  watch([...talks.values()].filter(talk => talk.uid).sort((a, b) => b.at - a.at).slice(0, WATCHED).map(talk => talk.uid));
}

function onLost(reason, pause) {
  $("state").className = "state";
  $("state").title = "not connected";
  $("banner").hidden = false;
  const until = Date.now() + pause;
  const tick = () => {
    if (rookery.connected || $("banner").hidden)
      return;
    const seconds = Math.max(Math.ceil((until - Date.now()) / 1000), 0);
    $("banner").firstElementChild.textContent = `No connection${reason ? ` (${reason})` : ""}. What you write waits here; next attempt in ${seconds} s.`;
    if (seconds)
      setTimeout(tick, 1000);
  };
  tick();
  $("sign-in-error").textContent = $("chat").hidden ? "The server can't be reached; trying again." : "";
}

function onRefused(answer) {
  $("chat").hidden = true;
  $("sign-in").hidden = false;
  $("name").value = me;
  $("sign-in-error").textContent = answer.message;
  $("token-label").hidden = answer.code !== "not-allowed";
  ($("token-label").hidden ? $("name") : $("token")).focus();
}

function onTyping({conversation, uid}) {
  const talk = talkOf(conversation);
  if (uid === me)
    return;    // On another device
  talk.typing = uid;
  clearTimeout(talk.typingTimer);
  talk.typingTimer = setTimeout(() => {
    talk.typing = undefined;
    draw();
  }, TYPING_SHOWN);
  draw();
}

function onRead({conversation, uid, seq}) {
  const talk = talkOf(conversation);
  if (uid === me) {
    talk.read = Math.max(talk.read, seq);
    if (talk.read >= talk.last)
      talk.unread = talk.mentions = 0;
  } else if (!talk.group) {
    talk.readBy = Math.max(talk.readBy, seq);
  }
  if (talk === open)
    messages.marks();
  draw();
}

// ---------------------------------------------------------------------------
// Loading

async function history(talk, fields) {
  const answer = await rookery.ask("history", {conversation: talk.conversation, limit: PAGE, ...fields}).catch(() => undefined);
  if (!answer)
    return undefined;
  const before = talk.entries.length;
  for (const message of answer.messages)
    if (message.action === "chat" || message.action === "chatGroup" || message.action === "groupChanged")
      talk.take(message);
  talk.setReactions(answer.messages, answer.reactions ?? []);
  talk.last = Math.max(talk.last, answer.last);
  return [answer.messages, talk.entries.length - before];
}

// The newest page when the talk is opened, or what was said since
async function loadAfter(talk) {
  if (talk.loading || talk.entries.some(entry => entry.seq === talk.last))
    return;
  const empty = !talk.entries.length;
  talk.loading = true;
  const page = await history(talk);
  talk.loading = false;
  if (page)
    talk.complete ||= page[0].length < PAGE && (page[0][0]?.seq ?? 1) <= 1;
  if (talk !== open)
    return;
  if (empty)
    messages.open(talk);
  else
    messages.toEnd();
  readSoon();
}

async function loadBefore(talk) {
  if (talk.loading || talk.complete)
    return;
  talk.loading = true;
  const page = await history(talk, {before: talk.first()});
  talk.loading = false;
  talk.complete ||= page && !page[0].length;
  if (page && talk === open)
    messages.before(page[1]);
}

async function fetchAttachment(entry) {
  const answer = await ask("attachment", {conversation: open.conversation, seq: entry.seq});
  if (answer?.attachment) {
    entry.attachment = answer.attachment;
    messages.refresh(entry);
  }
}

// Tells the server that what is seen is read, when it is
function readSoon() {
  clearTimeout(readTimer);
  readTimer = setTimeout(() => {
    const talk = open;
    if (!talk || document.hidden || !messages.atEnd() || talk.read >= talk.last && !talk.unread)
      return;
    talk.unread = talk.mentions = 0;
    if (talk.read < talk.last)
      rookery.ask("read", {conversation: talk.conversation, seq: talk.last}).then(answer => { talk.read = answer.seq; }, () => {});
    draw();
  }, READ_PAUSE);
}

// ---------------------------------------------------------------------------
// What the person does

async function signIn(uid, token) {
  rookery?.close();
  talks.clear();
  here.clear();
  [me, open] = [uid, undefined];
  messages.open(undefined);
  $("me").textContent = uid;
  remember(uid, token);
  const outbox = new IndexedOutbox(uid);
  rookery = new Rookery({url: socketURL(), uid, token, device: deviceOf(uid), outbox});
  for (const [name, fn] of Object.entries({connected: onConnected, lost: onLost, refused: onRefused, message: took,
                                           answered: onAnswered, typing: onTyping, read: onRead}))
    rookery.on(name, fn);
  rookery.on("presence", ({uid: who, online, seen}) => {
    here.set(who, {online, seen: seen ?? here.get(who)?.seen});
    draw();
  });
  rookery.on("acked", ({conversation, seq}) => {
    const talk = talkOf(conversation);
    talk.delivered = Math.max(talk.delivered, seq);
    if (talk === open)
      messages.marks();
  });
  rookery.on("groupInvited", ({groupID, by}) => messages.note(`${by} invites you to #${groupID}: open it above to join.`));
  rookery.on("groupRemoved", ({groupID, by}) => goneFrom(groupID, `${by} has removed you from #${groupID}.`));
  rookery.on("error", problem => messages.note(problem.message));
  for (const chat of ["chat", "chatGroup"])    // Of a server that stores nothing they have no seq
    rookery.on(chat, message => message.seq || took(message));
  for (const {message, attachment} of await outbox.all().catch(() => []))
    talkOf(conversationIn(message.content))
      .put({...new Talk("", me).entryOf({...message, attachment}), at: Number(message.content.fromTimestamp) * 1000, state: "sent"});
  rookery.open().catch(() => {});    // "refused" has said it
}

function goneFrom(gid, why) {
  if (open?.conversation === gid)
    openTalk(undefined);
  talks.delete(gid);
  if (why)
    messages.note(why);
  draw();
}

function openTalk(talk) {
  if (open)
    open.draft = $("text").value;
  begin();
  open = talk;
  $("text").value = talk?.draft ?? "";
  $("members").textContent = "";
  messages.open(talk);
  drawHead();
  draw();
  if (!talk)
    return;
  grow($("text"));
  loadAfter(talk);
  readSoon();
  if (talk.group)
    rookery.ask("groupMembers", {groupID: talk.conversation}).then(({members}) => {
      if (talk === open)
        $("members").textContent = members.join(", ");
    }, () => {});
  watch([talk.uid]);
  $("text").focus();
}

// What the next text does: edits a message, answers one, or neither
function begin(what, entry) {
  editing = what === "editing" ? entry : undefined;
  replying = what === "replying" ? entry : undefined;
  $("about").hidden = !entry;
  if (!entry)
    return;
  $("about").firstElementChild.textContent = editing ? "Edit your message" : `Reply to ${entry.from}: ${entry.text || entry.fileName || ""}`;
  if (editing)
    $("text").value = entry.text;
  $("text").focus();
  grow($("text"));
}

function fail(entry, talk) {
  return error => {
    if (error.code !== "too-large" || entry.state === "failed")
      return;
    Object.assign(entry, {state: "failed", why: `${error.message} `});
    if (talk === open)
      messages.show(entry, false);
  };
}

const sayTo = (talk, content, attachment) => talk.group ? rookery.sayGroup(talk.conversation, content, attachment)
                                                         : rookery.say(talk.uid, content, attachment);

// False when it can't be sent, which is said
function say(talk, text, file, attachment) {
  const content = {text, ...(replying && !file && {replyTo: replying.seq}),
                   ...(attachment && {isBytes: 1, fileName: file.name, fileType: file.type})};
  const size = new TextEncoder().encode(JSON.stringify(content)).length + 300 + (attachment?.byteLength ?? 0);
  const why = tooLarge("The message", size, rookery.limits.message);
  if (why) {
    messages.note(why);
    return false;
  }
  const said = sayTo(talk, content, attachment);
  const [entry] = talk.put({from: me, text, content, chatID: said.chatID, replyTo: content.replyTo, fileName: content.fileName,
                            attachment, at: Date.now(), state: "sent"});
  said.catch(fail(entry, talk));
  [talk.at, talk.preview] = [entry.at, text || file?.name || ""];
  if (talk === open)
    messages.show(entry, true);
  begin();
  draw();
  return true;
}

function sayAgain(entry) {
  Object.assign(entry, {state: "sent", why: undefined});
  sayTo(open, {...entry.content, chatID: entry.chatID}, entry.attachment).catch(fail(entry, open));
  messages.show(entry, false);
}

async function sendFile(file) {
  const talk = open;
  if (!file || !talk)
    return;
  const why = tooLarge(file.name, file.size, rookery.limits.attachment);
  if (why)
    messages.note(why);
  else
    say(talk, "", file, new Uint8Array(await file.arrayBuffer()));
}

async function submit() {
  const text = $("text").value.trim();
  if (!text || !open)
    return;
  if (editing) {
    const entry = editing, answer = await ask("edit", {conversation: open.conversation, seq: entry.seq, content: {text}});
    if (answer)
      took({action: "edit", conversation: answer.conversation, of: entry.seq, seq: answer.seq, at: answer.at, content: {text}});
    begin();
  } else if (!say(open, text)) {
    return;
  }
  $("text").value = open.draft = "";
  typedAt = 0;
  grow($("text"));
}

// ---------------------------------------------------------------------------
// The page's own events

$("sign-in-form").onsubmit = event => {
  event.preventDefault();
  $("sign-in-error").textContent = "";
  signIn($("name").value.trim(), $("token").value.trim());
};
$("sign-out").onclick = () => {
  rookery.close();
  forget();
  location.reload();
};
$("new-talk").onsubmit = async event => {
  event.preventDefault();
  const name = $("new-name").value.trim(), gid = name.slice(1);
  $("new-name").value = "";
  askForNotices();    // Who begins a talk wants to hear of it
  if (name.startsWith("#") && gid) {
    const answer = await rookery.ask("groupJoin", {groupID: gid}).catch(error => messages.note(inWords(error, name)));
    if (answer?.asked)
      messages.note(`${name} takes people on request; its owners know now that you ask.`);
    else if (answer)
      openTalk(talkOf(gid));
  } else if (name && /^[^\s,]+$/.test(name)) {
    openTalk(talkOf(conversationOf(me, name)));
  } else if (name) {
    messages.note("A name has no spaces and no commas.");
  }
};
$("send").onsubmit = event => {
  event.preventDefault();
  submit();
};
$("text").onkeydown = event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  } else if (event.key === "Escape") {
    begin();
  }
};
$("text").oninput = () => {
  grow($("text"));
  if (open && $("text").value && Date.now() - typedAt > TYPING_EACH) {
    typedAt = Date.now();
    rookery.tell("typing", {conversation: open.conversation});
  }
};
$("text").onpaste = event => sendFile(event.clipboardData.files[0]);
$("file").onchange = () => {
  sendFile($("file").files[0]);
  $("file").value = "";
};
$("chat").ondragover = event => event.preventDefault();
$("chat").ondrop = event => {
  event.preventDefault();
  sendFile(event.dataTransfer.files[0]);
};
$("about").lastElementChild.onclick = () => begin();
$("leave").onclick = async () => {
  const gid = open.conversation;
  if (await ask("groupLeave", {groupID: gid}))
    goneFrom(gid);
};
$("back").onclick = () => openTalk(undefined);
$("banner").lastElementChild.onclick = () => rookery.tryNow();
document.addEventListener("visibilitychange", readSoon);
const before = remembered();
if (before)
  signIn(before.uid, before.token);
