// groups.js - dialogs about groups: a new one, who is in it, what it is like; and about the other one of a talk, and oneself
//
// app: ask (action, fields) says a refusal in the dialog and resolves to nothing then; rookery, me, talkOf, openTalk, goneFrom.

import {action, closeDialog, field, form, isDialogOpen, sayInDialog, showDialog} from "./dialog.js";
import {soundOn, setSound, askForNotices} from "./notices.js";
import {avatar, pictureField, pictureOf} from "./picture.js";
import {element, inWords, lastSeen} from "./text.js";

const JOINING = [["open", "Everybody may join"], ["invitation", "Whom an owner has invited"], ["request", "Whom an owner lets in"]];
const WRITERS = [["all", "All members write"], ["owners", "Only owners write"]];
const MEMBERS = 1000;    // Asked for at once

// Asks the server; a refusal is said in the dialog
async function ask(app, name, fields) {
  try {
    return await app.rookery.ask(name, fields);
  } catch (error) {
    sayInDialog(inWords(error, fields.groupID ? `#${fields.groupID}` : fields.uid ?? "it"));
    return undefined;
  }
}

export function newGroup(app) {
  showDialog("A new group", form("Make it", async ({groupID, name, joining}) => {
    if (!/^[^\s,]+$/.test(groupID))
      return sayInDialog("A short name is one word without commas.");
    if (await ask(app, "groupCreate", {groupID, ...(name && {name}), joining})) {
      closeDialog();
      const talk = app.talkOf(groupID);
      talk.owner = true;
      talk.name = name || groupID;
      app.openTalk(talk);
    }
    return undefined;
  }, field("Short name, without spaces", {name: "groupID", required: true, maxLength: 128}), field("Title", {name: "name", maxLength: 200}),
     field("Who may join", {name: "joining", choices: JOINING, value: "invitation"})));
}

async function membersOf(app, groupID) {
  const all = {members: [], owners: new Set(), silenced: new Set()};
  for (let after, more = true; more; after = all.members.at(-1)) {
    const page = await ask(app, "groupMembers", {groupID, limit: MEMBERS, ...(after && {after})});
    if (!page)
      return undefined;
    all.members.push(...page.members);
    page.owners.forEach(uid => all.owners.add(uid));
    page.silenced.forEach(uid => all.silenced.add(uid));
    more = page.more && all.members.length < 10 * MEMBERS;
  }
  return all;
}

// One member, and what an owner may do with it
function memberRow(app, talk, uid, {owners, silenced}, again) {
  const groupID = talk.conversation, isOwner = owners.has(uid);
  const words = [isOwner && "owner", silenced.has(uid) && "muted", uid === app.me && "you"].filter(Boolean).join(", ");
  const row = element("li", "", avatar(uid), element("span", "grow", uid, words && element("span", "dim", ` ${words}`)));
  const does = (label, name, fields) => action(label, async () => await ask(app, name, {groupID, uid, ...fields}) && again(), `${label}: ${uid}`);
  if (talk.owner && uid !== app.me)
    row.append(does(isOwner ? "Make a member" : "Make an owner", "groupRole", {role: isOwner ? "member" : "owner"}),
               silenced.has(uid) ? does("Unmute", "groupMute", {seconds: 0}) : does("Mute", "groupMute", {}),
               does("Remove", "groupRemove", {}), does("Ban", "groupBan", {banned: true}));
  return row;
}

// Those who ask to come in, are invited or are banned
async function waiting(app, talk, again) {
  const groupID = talk.conversation, lists = [];
  const kinds = [["asks", "Ask to join", [["Let in", "groupAnswer", {accept: true}], ["No", "groupAnswer", {accept: false}]]],
                 ["invited", "Invited", [["Take back", "groupRemove", {}]]], ["banned", "Banned", [["Let back", "groupBan", {banned: false}]]]];
  for (const [which, title, acts] of kinds) {
    const answer = await ask(app, "groupInvitations", {groupID, which});
    if (!answer?.uids.length)
      continue;
    const rows = answer.uids.map(uid => element("li", "", avatar(uid), element("span", "grow", uid), ...acts.map(([label, name, fields]) =>
      action(label, async () => await ask(app, name, {groupID, uid, ...fields}) && again(), `${label}: ${uid}`))));
    lists.push(element("h3", "", title), element("ul", "people", ...rows));
  }
  return lists;
}

function settings(app, talk, info, again) {
  const groupID = talk.conversation;
  return element("details", "", element("summary", "", "Settings"), form("Save", async values => {
    const changed = Object.fromEntries(Object.entries(values).filter(([key, value]) => value !== (info[key] ?? "")));
    if (!Object.keys(changed).length || await ask(app, "groupSet", {groupID, ...changed}))
      again();
  }, field("Title", {name: "name", value: info.name, maxLength: 200}), field("What it is about", {name: "description", value: info.description, type: "textarea"}),
     field("Announcement", {name: "announcement", value: info.announcement, type: "textarea"}),
     field("Who writes", {name: "writers", choices: WRITERS, value: info.writers}),
     field("Who may join", {name: "joining", choices: JOINING, value: info.joining})),
  pictureField("Picture", app.rookery, talk, async picture => {
    if (await ask(app, "groupSet", {groupID, picture}))
      talk.picture = await pictureOf(app, talk);
    app.draw(talk);
    return talk.picture;
  }, sayInDialog),
  action("End the group for all", async () => await ask(app, "groupDissolve", {groupID}) && again()));
}

export async function groupDialog(app, talk, isOpen = false) {
  const groupID = talk.conversation, again = () => groupDialog(app, talk, true);
  const info = await ask(app, "groupInfo", {groupID}), all = info && await membersOf(app, groupID);
  if (!all)
    return;
  talk.owner = info.owner;
  Object.assign(talk, {name: info.name || groupID, picture: info.picture});
  app.draw(talk);
  const invite = form("Invite", async ({uid}) => await ask(app, "groupInvite", {groupID, uid}) && again(),
                      field("Invite somebody", {name: "uid", required: true, maxLength: 128}));
  const parts = [info.description && element("p", "", info.description), info.announcement && element("p", "announcement", info.announcement),
                 info.writers === "nobody" && element("p", "dim", "This group was ended: nobody writes here any more."), info.owner && invite,
                 ...(info.owner ? await waiting(app, talk, again) : []), element("h3", "", `${info.members} ${info.members === 1 ? "member" : "members"}`),
                 element("ul", "people", ...all.members.slice(0, MEMBERS).map(uid => memberRow(app, talk, uid, all, again))),
                 info.owner && info.writers !== "nobody" && settings(app, talk, info, again), silence(app, talk),
                 action("Leave the group", async () => {
                   if (await ask(app, "groupLeave", {groupID})) {
                     closeDialog();
                     app.goneFrom(groupID);
                   }
                 })];
  if (!isOpen || isDialogOpen())
    showDialog(talk.title, ...parts.filter(Boolean));
}

// Mute and pin, of any conversation
function silence(app, talk) {
  const set = fields => ask(app, "conversationSet", {conversation: talk.conversation, ...fields});
  const box = (label, value, change) => {
    const made = field(label, {type: "checkbox", name: label, value});
    made.lastElementChild.onchange = event => change(event.target.checked);
    return made;
  };
  return element("div", "fields", box("No notices from here", talk.mutedTill > Date.now(), async on => {
    const answer = await set({muted: on});
    talk.mutedTill = answer?.mutedTill ?? talk.mutedTill;
    app.draw(talk);
  }), box("Keep on top of the list", Boolean(talk.pinned), async on => {
    talk.pinned = (await set({pinned: on}))?.pinned ?? talk.pinned;
    app.draw(talk);
  }));
}

export async function userDialog(app, talk, isOpen = false) {
  const {uid} = talk, answer = await ask(app, "users", {uids: [uid]}), user = answer?.users[0];
  const {contacts = []} = await ask(app, "contacts", {}) ?? {};
  const contact = contacts.find(one => one.uid === uid), again = () => userDialog(app, talk, true);
  const does = (label, name, fields) => action(label, async () => await ask(app, name, {uid, ...fields}) && again());
  const acts = {contact: does("Remove from contacts", "contactRemove"), asked: does("Take the request back", "contactRemove"),
                asks: element("span", "", does("Accept as a contact", "contactAccept"), does("Say no", "contactRemove"))};
  if (isOpen && !isDialogOpen())
    return;
  if (user)
    Object.assign(talk, {name: user.name || uid, picture: user.picture});
  app.draw(talk);
  showDialog(talk.name, ...[avatar(talk.name, false, talk.picture), element("p", "dim", uid, lastSeen(app.seen(uid)) && ` · ${lastSeen(app.seen(uid))}`),
    user?.text && element("p", "", user.text), uid !== app.me && (acts[contact?.state] ?? does("Ask to be contacts", "contactAdd")),
    uid !== app.me && does(contact?.blocked ? "Unblock" : "Block", "block", {blocked: !contact?.blocked}), silence(app, talk)].filter(Boolean));
}

// Who one is, and what this browser does
export async function ownDialog(app) {
  const answer = await ask(app, "users", {uids: [app.me]}), own = answer?.users[0] ?? {};
  const sound = field("A sound with each notice", {type: "checkbox", name: "sound", value: soundOn()});
  sound.lastElementChild.onchange = event => setSound(event.target.checked);
  const picture = pictureField("Picture that others see", app.rookery, {name: own.name || app.me, picture: own.picture},
                               async url => await ask(app, "profile", {picture: url}) && pictureOf(app, {uid: app.me}), sayInDialog);
  showDialog("You", form("Save", async ({name, text}) => await ask(app, "profile", {name, text}) && closeDialog(),
    field("Name that others see", {name: "name", value: own.name, maxLength: 100}),
    field("About you", {name: "text", value: own.text, maxLength: 500})),
  element("div", "fields", picture, sound, globalThis.Notification?.permission === "default" && action("Show notices of new messages", askForNotices)),
  action("Sign out", app.signOut));
}
