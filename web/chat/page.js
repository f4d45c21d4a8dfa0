// page.js - the chat page: what a person does, and what the server says

import {IndexedOutbox, Rookery, RookeryError, conversationIn, conversationOf} from "./client/rookery.js";
import {groupDialog, newGroup, ownDialog, userDialog} from "./groups.js";
import {History} from "./history.js";
import {List} from "./list.js";
import {Mentions, mentionsIn} from "./mentions.js";
import {Messages} from "./messages.js";
import {askForNotices, notice} from "./notices.js";
import {renewPicture} from "./picture.js";
import {Presence} from "./presence.js";
import {Search, forwardDialog} from "./search.js";
import {deviceOf, forget, keepList, keptList, remember, remembered, socketURL} from "./session.js";
import {Talk} from "./talk.js";
import {grow, inWords, lastSeen, oncePerFrame, tooLarge} from "./text.js";
import {voiceButton} from "./voice.js";

const LISTED = 100;                        // Conversations asked for at once
const TYPING_EACH = 3000, TYPING_SHOWN = 5000, SEARCH_PAUSE = 300;    // msec

const $ = id => document.getElementById(id);
const talks = new Map(), changed = new Set();    // conversation -> Talk; Talks that are to be drawn
let rookery, me, open, editing, replying, typedAt = 0, searchTimer;

const list = new List($("talks"), talk => openTalk(talk), talk => presence.isHere(talk.uid), talk => renewPicture(app, talk));
const messages = new Messages($("messages"), $("more"), {
  seen: () => history.readSoon(), reply: entry => begin("replying", entry), edit: entry => begin("editing", entry), again: entry => sayAgain(entry),
  recall: entry => ask("recall", {conversation: open.conversation, seq: entry.seq}),
  react: (entry, key, on = true) => ask("react", {conversation: open.conversation, seq: entry.seq, key, on}).then(answer => {
    if (answer?.seq)
      took({action: "react", conversation: answer.conversation, of: entry.seq, key, on, uid: me, seq: answer.seq, at: answer.at});
  }),
  forward: entry => forwardDialog(app, entry, talk => forward(entry, talk)), url: entry => rookery.fileURL(open.conversation, entry.seq),
  fetch: entry => fetchAttachment(entry)}, talk => history.before(talk));

// What the page's other files see of it
const app = {talks, messages, talkOf, openTalk, goneFrom, draw, signOut, seen: uid => presence.seen(uid),
             get rookery() { return rookery; }, get me() { return me; }, get open() { return open; }};
const presence = new Presence(app, uid => draw(talks.get(conversationOf(me, uid))));
const history = new History(app), mentions = new Mentions($("text"), $("offered"), () => (open?.group ? open.names : []).filter(uid => uid !== me));
const search = new Search(app, $("found"), async (talk, seq) => {
  openTalk(talk);
  await history.upTo(talk, seq);
  messages.showSeq(seq);
});

function talkOf(conversation) {
  if (!talks.has(conversation))
    talks.set(conversation, new Talk(conversation, me));
  return talks.get(conversation);
}

// What has changed of the list, the head and the title
const drawChanged = oncePerFrame(() => {
  list.show(new Set([...changed].filter(talk => talks.get(talk.conversation) === talk)), open);
  changed.clear();
  document.title = `${list.unread ? `(${list.unread}) ` : ""}${me} – Rookery chat`;
  $("nothing").hidden = talks.size > 0;
  drawHead();
});

function draw(...which) {
  which.forEach(talk => talk && changed.add(talk));
  drawChanged();
}

function drawHead() {
  $("title").textContent = open ? open.title : "Choose a talk";
  $("info").hidden = !open;
  $("text").disabled = $("send-button").disabled = $("file").disabled = $("voice").disabled = !open;
  $("chat").classList.toggle("reading", Boolean(open));
  $("presence").textContent = open?.typing ? `${open.typing} is typing …` : presence.isHere(open?.uid) ? "here now" : lastSeen(presence.seen(open?.uid));
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
    presence.watch([talk.uid]);
    if (talk.typing === entry.from)
      talk.typing = undefined;
    if (entry.from && entry.from !== me && (talk !== open || document.hidden || !messages.atEnd()))
      talk.unread++;
  }
  if (talk === open && entry)
    messages.show(entry, isNew);
  if (talk === open)
    history.readSoon();
  if (message.action === "groupChanged" && talk === open)
    showMembers(talk);
  if (said && isNew && entry.from && entry.from !== me)
    notice(talk, entry, openTalk);
  draw(talk);
}

function answered(talk, entry, {seq, at}, {fileUrl, fileServer, fileSize, fileType = entry.fileType}) {
  talk.put({...entry, seq: seq ?? entry.seq, at, state: "stored", why: undefined, fileUrl, fileSize, fileType, sending: false,
            content: {...entry.content, fileUrl, fileServer, fileSize, fileType, ...(fileUrl && {isBytes: 0})}});
  presence.watch([talk.uid]);
}

function onProgress({content}, bytes) {
  const talk = talkOf(conversationIn(content)), entry = talk.byChatID.get(content.chatID);
  if (!entry)
    return;
  Object.assign(entry, {progress: bytes, sending: true});
  if (talk === open)
    messages.progress(entry);
}

function onAnswered(answer, {content}) {
  const talk = talkOf(conversationIn(content));
  const entry = talk.byChatID.get(content.chatID);
  if (!entry)
    return;
  if (answer.code === "ok")
    answered(talk, entry, answer, content);
  else
    Object.assign(entry, {state: "failed", why: `${inWords(answer, talk.title)} `});
  if (answer.known === false)
    messages.note(`Nobody has ever been here as ${talk.name}; the message waits for whoever comes by that name.`);
  if (talk === open)
    messages.show(entry, false);
  draw(talk);
}

function showChat() {
  $("sign-in").hidden = true;
  $("chat").hidden = false;
}

// The rows of a page of the list, which the server has said or this page has kept
function listed(rows, kept = false) {
  for (const row of rows) {
    const talk = talkOf(row.conversation);
    talk.update(row);
    talk.kept = kept;
    draw(talk);
  }
}

async function onConnected(answer) {
  showChat();
  $("banner").hidden = true;
  $("state").className = "state on";
  $("state").title = "connected";
  let after, page;
  do {    // The first page is shown while the others come
    page = await rookery.ask("conversations", {limit: LISTED, ...(after && {after})}).catch(() => undefined);
    listed(page?.conversations ?? []);
    if (!after)
      presence.watchFirst(talks.values());
    after = page?.next;
  } while (after && rookery.connected);
  if (page && !after)    // All of them: what was kept and isn't among them is gone
    [...talks.values()].filter(talk => talk.kept && (talk.group || talk.last) && !talk.entries.length && !talk.draft && talk !== open)
      .forEach(talk => goneFrom(talk.conversation));
  answer.groups.forEach(gid => draw(talkOf(gid)));
  if (open)
    history.after(open);
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
  if (talks.size)    // Of the outbox, or of the list that was kept
    showChat();
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
    draw(talk);
  }, TYPING_SHOWN);
  draw(talk);
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
  draw(talk);
}

async function fetchAttachment(entry) {
  const answer = await ask("attachment", {conversation: open.conversation, seq: entry.seq});
  if (answer?.attachment) {
    entry.attachment = answer.attachment;
    messages.refresh(entry);
  }
}

// ---------------------------------------------------------------------------
// What the person does

async function signIn(uid, token) {
  rookery?.close();
  talks.clear();
  list.clear();
  presence.clear();
  [me, open] = [uid, undefined];
  messages.open(undefined);
  $("me").textContent = uid;
  remember(uid, token);
  const outbox = new IndexedOutbox(uid);
  rookery = new Rookery({url: socketURL(), uid, token, device: deviceOf(uid), outbox});
  for (const [name, fn] of Object.entries({connected: onConnected, lost: onLost, refused: onRefused, message: took,
                                           answered: onAnswered, progress: onProgress, typing: onTyping, read: onRead,
                                           presence: message => presence.told(message)}))
    rookery.on(name, fn);
  rookery.on("acked", ({conversation, seq}) => {
    const talk = talkOf(conversation);
    talk.delivered = Math.max(talk.delivered, seq);
    if (talk === open)
      messages.marks();
  });
  rookery.on("groupInvited", ({groupID, by}) => messages.note(`${by} invites you to #${groupID}.`, ["Join", () => join(groupID)]));
  rookery.on("groupAsked", ({groupID, uid: who}) => messages.note(`${who} asks to join #${groupID}.`, ["Look", () => groupDialog(app, talkOf(groupID))]));
  rookery.on("groupAnswered", ({groupID, by, accept}) => accept ? messages.note(`${by} has let you into #${groupID}.`, ["Open", () => openTalk(talkOf(groupID))])
                                                                 : messages.note(`${by} doesn't let you into #${groupID}.`));
  rookery.on("contactChanged", ({uid: who, state}) => state === "asks" && messages.note(`${who} asks to be your contact.`, ["Look", () => userDialog(app, talkOf(conversationOf(me, who)))]));
  rookery.on("groupRemoved", ({groupID, by}) => goneFrom(groupID, `${by} has removed you from #${groupID}.`));
  rookery.on("error", problem => messages.note(problem.message));
  for (const chat of ["chat", "chatGroup"])    // Of a server that stores nothing they have no seq
    rookery.on(chat, message => message.seq || took(message));
  listed(keptList(uid), true);
  for (const {message, attachment, file} of await outbox.all().catch(() => [])) {
    const talk = talkOf(conversationIn(message.content));
    talk.put({...talk.entryOf({...message, attachment}), file, at: Number(message.content.fromTimestamp) * 1000, state: "sent"});
    draw(talk);
  }
  rookery.open().catch(() => {});    // "refused" has said it
}

function goneFrom(gid, why) {
  if (open?.conversation === gid)
    openTalk(undefined);
  list.remove(talks.get(gid));
  talks.delete(gid);
  if (why)
    messages.note(why);
  draw();
}

function openTalk(talk) {
  if (open)
    open.draft = $("text").value;
  begin();
  draw(open, talk);
  open = talk;
  $("text").value = talk?.draft ?? "";
  $("members").textContent = "";
  $("offered").hidden = true;
  messages.open(talk);
  drawHead();
  if (!talk)
    return;
  grow($("text"));
  history.after(talk);
  history.readSoon();
  if (talk.group)
    showMembers(talk);
  presence.watch([talk.uid]);
  $("text").focus();
}

function showMembers(talk) {
  rookery.ask("groupMembers", {groupID: talk.conversation}).then(({members, owners}) => {
    [talk.names, talk.owner] = [members, owners.includes(me)];
    if (talk === open)
      $("members").textContent = members.join(", ");
  }, () => {});
}

async function join(gid) {
  const answer = await rookery.ask("groupJoin", {groupID: gid}).catch(error => messages.note(inWords(error, `#${gid}`)));
  if (answer?.asked)
    messages.note(`#${gid} takes people on request; its owners know now that you ask.`);
  else if (answer)
    openTalk(talkOf(gid));
}

function forward(entry, talk) {
  const {fileName, fileUrl, fileServer, fileType, fileSize} = entry.content;
  openTalk(talk);
  say(talk, entry.text, undefined, fileUrl && {isBytes: 0, fileName, fileUrl, fileServer, fileType, fileSize});
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

// False when it can't be sent, which is said. file is a File to be sent, of a recording with duration; more is put into the content
function say(talk, text, file, more) {
  const named = talk.group ? mentionsIn(text, talk.names, talk.owner) : [];
  const content = {text, ...(replying && !file && {replyTo: replying.seq}), ...(named.length && {mentions: named}),
                   ...(file && {isBytes: 0, fileName: file.name, fileType: file.type}), ...more};
  const {limits} = rookery, size = new TextEncoder().encode(JSON.stringify(content)).length + 300;
  const why = file ? tooLarge(file.name, file.size, limits.file ?? limits.attachment) : tooLarge("The message", size, limits.message);
  if (why) {
    messages.note(why);
    return false;
  }
  const said = sayTo(talk, content, file);
  const [entry] = talk.put({...talk.entryOf({content: {...content, fromAccountID: me, chatID: said.chatID}}), file, at: Date.now(), state: "sent"});
  said.catch(fail(entry, talk));
  [talk.at, talk.preview] = [entry.at, text || content.fileName || ""];
  if (talk === open)
    messages.show(entry, true);
  begin();
  draw(talk);
  return true;
}

function sayAgain(entry) {
  Object.assign(entry, {state: "sent", why: undefined});
  sayTo(open, {...entry.content, chatID: entry.chatID}, entry.file ?? entry.attachment).catch(fail(entry, open));
  messages.show(entry, false);
}

function sendFiles(files, more) {
  for (const file of open ? files : [])
    say(open, "", file, more);
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
function signOut() {
  rookery.close();
  me = undefined;
  forget();
  location.reload();
}
$("own").onclick = () => ownDialog(app);
$("new-group").onclick = () => newGroup(app);
$("info").onclick = () => open.group ? groupDialog(app, open) : userDialog(app, open);
voiceButton($("voice"), text => messages.note(text), () => open, (talk, {file, duration}) => talk === open && sendFiles([file], {duration}));
$("search").oninput = () => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(() => search.run($("search").value.trim()), SEARCH_PAUSE);
};
$("search").onkeydown = event => {
  if (event.key === "Escape") {
    $("search").value = "";
    search.run("");
  }
};
$("new-talk").onsubmit = async event => {
  event.preventDefault();
  const name = $("new-name").value.trim(), gid = name.slice(1);
  $("new-name").value = "";
  askForNotices();    // Who begins a talk wants to hear of it
  if (name.startsWith("#") && gid) {
    await join(gid);
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
  if (mentions.key(event))
    return;
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  } else if (event.key === "Escape") {
    begin();
  }
};
$("text").oninput = () => {
  mentions.offer();
  grow($("text"));
  if (open && $("text").value && Date.now() - typedAt > TYPING_EACH) {
    typedAt = Date.now();
    rookery.tell("typing", {conversation: open.conversation});
  }
};
$("text").onpaste = event => sendFiles(event.clipboardData.files);
$("file").onchange = () => {
  sendFiles($("file").files);
  $("file").value = "";
};
$("chat").ondragover = event => event.preventDefault();
$("chat").ondrop = event => {
  event.preventDefault();
  sendFiles(event.dataTransfer.files);
};
$("about").lastElementChild.onclick = () => begin();
$("back").onclick = () => openTalk(undefined);
$("banner").lastElementChild.onclick = () => rookery.tryNow();
document.addEventListener("visibilitychange", () => history.readSoon());
addEventListener("pagehide", () => me && keepList(me, list.sorted.slice(0, LISTED).map(talk => talk.row())));
navigator.serviceWorker?.register("sw.js").catch(() => {});    // A page without TLS has none
const before = remembered();
if (before)
  signIn(before.uid, before.token);
