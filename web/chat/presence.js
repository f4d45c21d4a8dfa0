// presence.js - who is here, of the users at the top of the list and those who come to it

const MOST = 200, AT_ONCE = 50;    // Users that are watched; asked for in one request, and first of all
const PAUSE = 200;                 // msec in which those who come are asked for together

export class Presence {
  // app: rookery, open; changed (uid) is called when it isn't as before
  constructor(app, changed) {
    Object.assign(this, {app, changed, users: new Map(), watched: new Set(), wanted: new Set()});
  }

  clear() {
    this.users.clear();
  }

  isHere(uid) {
    return Boolean(this.users.get(uid)?.online);
  }

  // When a user who isn't here was seen last, in msec; or nothing
  seen(uid) {
    return this.users.get(uid)?.seen;
  }

  // The server says it
  told({uid, online, seen}) {
    this.users.set(uid, {online, seen: seen ?? this.seen(uid)});
    this.changed(uid);
  }

  // Nobody knows any more of these
  forget(uids) {
    for (const uid of [...uids]) {
      this.watched.delete(uid);
      this.users.delete(uid);
      this.changed(uid);
    }
  }

  // Whether these users are here, from now on, in the place of those who were asked for long ago
  watch(uids) {
    for (const uid of uids)
      if (uid && !this.watched.has(uid))
        this.wanted.add(uid);
    if (this.wanted.size)
      this.timer ??= setTimeout(() => this.ask(), PAUSE);
  }

  ask() {
    const all = [...this.wanted].slice(-MOST);
    this.timer = undefined;
    this.wanted.clear();
    for (let at = 0; at < all.length; at += AT_ONCE)
      this.subscribe(all.slice(at, at + AT_ONCE));
  }

  // Whom one may not watch the answer doesn't name: they are asked for again when they say something
  subscribe(uids) {
    const {watched, app} = this, leave = [...watched].filter(uid => uid !== app.open?.uid);
    const unsubscribe = leave.slice(0, Math.max(watched.size + uids.length - MOST, 0));
    this.forget(unsubscribe);
    uids.forEach(uid => watched.add(uid));
    app.rookery.ask("presence", {subscribe: uids, unsubscribe}).then(({users}) => {
      const known = new Set(users.map(({uid}) => uid));
      uids.filter(uid => !known.has(uid)).forEach(uid => watched.delete(uid));
      for (const {uid, seen} of users) {
        this.users.set(uid, {...this.users.get(uid), seen: seen ?? this.seen(uid)});
        this.changed(uid);
      }
    }, () => uids.forEach(uid => watched.delete(uid)));
  }

  // Those of the talks at the top of the list, on a new connection
  watchFirst(talks) {
    this.forget(this.watched);
    this.watch([...talks].filter(talk => talk.uid).sort((a, b) => b.at - a.at).slice(0, AT_ONCE).map(talk => talk.uid));
  }
}
