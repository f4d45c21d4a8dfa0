// clientuser.mjs - users of rookery-client for client.py: "node clientuser.mjs LIBRARY URL WHAT"; says what happens, a JSON object a line

const [library, url, what] = process.argv.slice(2);
const {Rookery, RookeryError, conversationOf} = await import(library);

const say = object => process.stdout.write(JSON.stringify(object) + "\n");
const count = 300, window = 8;

// ann says so many chats, bob hears them, whatever happens to their connections meanwhile
async function through() {
  const ann = new Rookery({url, uid: "ann", device: "a"}), bob = new Rookery({url, uid: "bob", device: "b"});
  const heard = [], answers = [];
  let lost = 0;
  bob.on("chat", message => {
    heard.push([message.seq, message.content.text, message.attachment?.length ?? 0]);
    return new Promise(resolve => setTimeout(resolve, 5));    // It takes a moment until it is kept
  });
  for (const one of [ann, bob])
    one.on("lost", () => lost++);
  await Promise.all([ann.open(), bob.open()]);
  let next = 0;
  const talk = async () => {
    while (next < count) {
      const nbr = next++;
      const answer = await ann.say("bob", {text: `${nbr}`}, nbr % 50 === 7 ? new Uint8Array(100000) : undefined);
      answers.push([nbr, answer.seq]);
      if (answers.length % 20 === 0)
        say({answered: answers.length});
    }
  };
  await Promise.all(Array.from({length: window}, talk));
  while (heard.length < count)
    await new Promise(resolve => setTimeout(resolve, 20));
  const edited = await ann.ask("edit", {conversation: "ann,bob", seq: 1, content: {text: "new"}});
  while ((await bob.ask("groups")).talks[0].acked < edited.seq)
    await new Promise(resolve => setTimeout(resolve, 50));
  say({answers, heard, lost, edited: edited.seq});
  ann.close();
  bob.close();
}

// A handler that fails: what it didn't take comes again
async function failing() {
  const ann = new Rookery({url, uid: "ann", device: "a"}), bob = new Rookery({url, uid: "bob", device: "b"});
  const heard = [];
  let errors = 0;
  bob.on("error", () => errors++);
  bob.on("chat", message => {
    heard.push(message.seq);
    if (message.seq === 2 && heard.length === 2)
      throw new Error("the disk is full");
  });
  await Promise.all([ann.open(), bob.open()]);
  for (const text of ["1", "2", "3"])
    await ann.say("bob", {text});
  while (heard.length < 3)
    await new Promise(resolve => setTimeout(resolve, 20));
  say({cut: true});
  while (heard.length < 5)
    await new Promise(resolve => setTimeout(resolve, 20));
  say({heard, errors});
  ann.close();
  bob.close();
}

// What is refused says why; an outbox keeps what isn't answered
async function refusals() {
  const kept = new Map([["chat ann,bob old", {message: {action: "chat", content: {fromAccountID: "ann", toAccountID: "bob", chatID: "old", text: "kept"}}}]]);
  const outbox = {put: async (id, entry) => kept.set(id, entry), remove: async id => kept.delete(id), all: async () => [...kept.values()]};
  const ann = new Rookery({url, uid: "ann", token: async () => "x", device: "a", outbox}), codes = [];
  const answered = new Promise(resolve => ann.on("answered", (answer, message) => resolve([answer.chatID, message.content.text])));
  await ann.open();
  const first = await answered;
  for (const ask of [() => ann.ask("history", {conversation: "ann,eve"}), () => ann.ask("nothing"), () => ann.sayGroup("club", {text: "x"}),
                     () => ann.ask("recall", {conversation: "ann,bob", seq: 99}), () => ann.say("bob", {}, new Uint8Array(2 ** 21)),
                     () => ann.say("bad id", {text: "x"})])
    await Promise.race([ask(), new Promise((_, reject) => setTimeout(() => reject(new RookeryError("late", "late")), 60000))])
      .then(() => codes.push("ok"), error => codes.push(error.code));
  say({first, codes, kept: kept.size, same: conversationOf("é", "z") === "z,é"});
  ann.close();
  const wrong = new Rookery({url, uid: "a b"});
  say({refused: await wrong.open().then(() => "ok", error => error.code)});
}

// What somebody says of a chat beside its content moves nothing; handlers of before a new connection ack nothing
async function forged() {
  const bob = new Rookery({url, uid: "bob", device: "b"}), heard = [];
  let release, first = true;
  bob.on("error", () => {});
  bob.on("chat", message => {
    heard.push(`${message.conversation} ${message.seq}`);
    if (message.content.text === "fails" && first) {
      first = false;
      return new Promise((_, reject) => { release = reject; });
    }
    return undefined;
  });
  await bob.open();
  say({ready: true});
  while (!heard.includes("bob,eve 3"))
    await new Promise(resolve => setTimeout(resolve, 20));
  release(new Error("no"));
  say({cut: true});
  while (heard.filter(one => one === "bob,eve 3").length < 2)
    await new Promise(resolve => setTimeout(resolve, 20));
  let talks = [];
  while (talks.length < 2 || talks.some(one => one.acked < one.last))
    ({talks} = await bob.ask("groups"));
  say({heard});
  const never = new Rookery({url, uid: "never"});
  const opening = never.open();
  never.close();
  say({closed: await opening.then(() => "ok", error => error.code), connected: never.connected});
  bob.close();
}

// A file while connections are cut and the server is killed; a refusal; and what the outbox had
async function files() {
  const kept = new Map(), outbox = {put: async (key, entry) => kept.set(key, entry), remove: async key => kept.delete(key), all: async () => [...kept.values()]};
  const ann = new Rookery({url, uid: "ann", device: "a", outbox}), bob = new Rookery({url, uid: "bob", device: "b"});
  const bytes = new Uint8Array(6000000).map((_, nbr) => nbr * 7 + (nbr >> 8)), steps = [];
  const heard = [new Promise(resolve => bob.on("chat", message => message.seq === 1 && resolve(message))),
                 new Promise(resolve => bob.on("chat", message => message.seq === 2 && resolve(message)))];
  ann.on("progress", (message, count) => {
    steps.push(count);
    say({progress: count});
  });
  await Promise.all([ann.open(), bob.open()]);
  const answer = await ann.say("bob", {fileName: "noise.bin"}, new Blob([bytes]));
  const {content} = await heard[0];
  const got = new Uint8Array(await (await fetch(await bob.fileURL("ann,bob", answer.seq))).arrayBuffer());
  say({same: got.length === bytes.length && got.every((byte, nbr) => byte === bytes[nbr]), size: content.fileSize, type: content.fileType, url: content.fileUrl.length});
  const refused = await ann.say("bob", {}, new Blob([new Uint8Array(8000001)])).catch(error => error.code);
  const stranger = await bob.fileURL("ann,bob", 99).catch(error => error.code);
  ann.close();
  kept.set("chat ann,bob late", {message: {action: "chat", content: {fromAccountID: "ann", toAccountID: "bob", chatID: "late", fileName: "a.txt"}},
                                 file: new Blob(["from before"])});
  const again = new Rookery({url, uid: "ann", device: "a", outbox});
  await again.open();
  const {seq} = await heard[1], text = await (await fetch(await bob.fileURL("ann,bob", seq))).text();
  while (kept.size)
    await new Promise(resolve => setTimeout(resolve, 20));
  say({refused, stranger, text, climbs: steps.every((count, nbr) => !nbr || count >= steps[nbr - 1] || count === 0)});
  // A file that is for no chat; who is gone meanwhile hears so
  const {fileUrl, size} = await again.upload(new Blob(["no chat's"])), large = await again.upload(new Blob([new Uint8Array(8000001)])).catch(error => error.code);
  const left = again.upload(new Blob([bytes])).catch(error => error.code);
  again.close();
  say({upload: fileUrl.length, size, large, left: await left});
  bob.close();
}

// Until the server says that it is enough
async function listens() {
  const bob = new Rookery({url, uid: "bob", device: "b"}), heard = [];
  bob.on("chat", message => heard.push(message.seq));
  await Promise.all([new Promise(resolve => bob.on("enough", resolve)), bob.open()]);
  say({heard});
  bob.close();
}

await {listens, through, failing, refusals, forged, files}[what]();
