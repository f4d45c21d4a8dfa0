// history.js - what the page knows of a talk that isn't new: fetched a page at a time; and what is read

const PAGE = 50, READ_PAUSE = 300;    // Messages asked for at once; msec

export class History {
  // app: rookery, open, messages, draw (talk)
  constructor(app) {
    this.app = app;
  }

  async fetch(talk, fields) {
    const answer = await this.app.rookery.ask("history", {conversation: talk.conversation, limit: PAGE, ...fields}).catch(() => undefined);
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

  // One page at a time: who wants another one can wait for talk.loading
  async load(talk, fields) {
    talk.loading = this.fetch(talk, fields);
    const page = await talk.loading;
    talk.loading = undefined;
    return page;
  }

  // The newest page when the talk is opened, or what was said since
  async after(talk) {
    if (talk.loading || talk.bySeq.has(talk.last))
      return;
    const empty = !talk.entries.length, page = await this.load(talk);
    if (page)
      talk.complete ||= page[0].length < PAGE && (page[0][0]?.seq ?? 1) <= 1;
    if (talk !== this.app.open)
      return;
    if (empty)
      this.app.messages.open(talk);
    else
      this.app.messages.toEnd();
    this.readSoon();
  }

  async before(talk) {
    if (talk.loading || talk.complete)
      return;
    const page = await this.load(talk, {before: talk.first()});
    talk.complete ||= page && !page[0].length;
    if (page && talk === this.app.open)
      this.app.messages.before(page[1]);
  }

  // Everything from a seq on, so that it can be shown
  async upTo(talk, seq) {
    await talk.loading;
    await this.after(talk);
    while (talk === this.app.open && talk.first() > seq && !talk.complete) {
      const first = talk.first();
      await this.before(talk);
      if (talk.first() === first)
        return;    // It can't be had now
    }
  }

  // Tells the server that what is seen is read, when it is
  readSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const {app} = this, talk = app.open;
      if (!talk || document.hidden || !app.messages.atEnd() || talk.read >= talk.last && !talk.unread)
        return;
      talk.unread = talk.mentions = 0;
      if (talk.read < talk.last)
        app.rookery.ask("read", {conversation: talk.conversation, seq: talk.last}).then(answer => { talk.read = answer.seq; }, () => {});
      app.draw(talk);
    }, READ_PAUSE);
  }
}
