// web.js - two tabs chat in a real Chromium: node selftest/e2e/web.js build/rookery [FOLDER]
//
// Screenshots go to FOLDER when one is named.

const fs = require("fs");
const path = require("path");
const {startServer, stopServer, check, openContext, shot, signIn, openTalk, say, waitFor, tool, run} = require("./browser.js");

// What was read was delivered
const states = {delivered: ":is([data-state=delivered], [data-state=read])"};
const waitState = (page, text, state) => page.waitForSelector(`#messages li${states[state] ?? `[data-state=${state}]`}:has-text("${text}")`);

async function talkOfTwo(alice, bob) {
  await openTalk(alice, "bob");
  await say(alice, "Hello Bob");
  await bob.click("#talks button:has-text('alice')");
  await waitFor(bob, "Hello Bob");
  await waitState(alice, "Hello Bob", "delivered");
  await say(bob, "Hello Alice, 你好 <b>not bold</b>");
  await waitFor(alice, "你好 <b>not bold</b>");
  await waitState(bob, "Hello Alice", "delivered");
  await shot(alice, "talk");
}

async function groupTalk(alice, bob) {
  await openTalk(alice, "#rooks");
  await openTalk(bob, "#rooks");
  await say(alice, "To all rooks");
  await waitFor(bob, "To all rooks");
  await bob.waitForSelector("#members:has-text('alice')");
  await shot(bob, "group");
}

// Bob is away while Alice writes; he gets everything when he is back, once and in order
async function whileAway(alice, bob, url) {
  await bob.goto("about:blank");
  await alice.click("#talks button:has-text('bob')");
  for (let nbr = 1; nbr <= 120; nbr++)
    await say(alice, `missed ${nbr}.`);
  await waitState(alice, "missed 120.", "stored");
  await bob.goto(url);
  await bob.click("#talks button:has-text('alice')");
  await waitFor(bob, "missed 120.");
  const texts = await bob.$$eval("#messages li", nodes => nodes.map(node => /missed (\d+)\./.exec(node.textContent)?.[1])
    .filter(Boolean).map(Number));
  check(texts.length === 120 && texts.every((nbr, index) => nbr === index + 1), `missed: ${texts}`);
  await waitState(alice, "missed 120.", "delivered");
}

// Scrolling up loads what came before
async function scrollUp(alice, url) {
  await alice.reload();
  await alice.click("#talks button:has-text('bob')");
  await waitFor(alice, "missed 120.");
  check(await alice.$("#messages li:has-text('Hello Bob')") === null, "all history at once");
  for (let nbr = 0; nbr < 20 && !await alice.$("#messages li:has-text('Hello Bob')"); nbr++) {
    await alice.evaluate(() => { document.getElementById("messages").scrollTop = 0; });
    await alice.waitForTimeout(100);
  }
  await waitFor(alice, "Hello Bob");
}

// The server goes away and comes back: the page says so, waits, and sends what it kept
async function serverRestart(alice, bob, url) {
  const address = new URL(url).host;
  await stopServer();
  await alice.waitForSelector("#banner:not([hidden])");
  await say(alice, "written without a server");
  await waitState(alice, "written without a server", "sent");
  await shot(alice, "offline");
  await startServer(`gateway/listen=${address}`);
  await waitState(alice, "written without a server", "delivered");
  await waitFor(bob, "written without a server");
}

async function picture(alice, bob) {
  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
                          "base64");
  await alice.setInputFiles("#file", {name: "dot.png", mimeType: "image/png", buffer: png});
  await bob.waitForSelector("#messages img[alt='dot.png']");
}

// A draft stays with its talk, and so does a picture that takes a moment to be read; what is too large isn't sent
async function drafts(alice, bob) {
  const drafted = "to be written on", large = {name: "large.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(7_000_000)};
  await alice.click("#talks button:has-text('bob')");
  await alice.fill("#text", drafted);
  await openTalk(alice, "carol");
  check(await alice.inputValue("#text") === "", "the draft came along");
  await alice.fill("#text", "for carol");
  await alice.click("#talks button:has-text('bob')");
  check(await alice.inputValue("#text") === drafted, "the draft is gone");
  await alice.click("#talks button:has-text('carol')");
  check(await alice.inputValue("#text") === "for carol", "carol's draft is gone");
  await alice.setInputFiles("#file", large);
  await alice.waitForSelector("#messages .error:has-text('large.bin has 7.0 MB; 6.0 MB can be sent at most.')");
  await shot(alice, "too-large");
  await alice.fill("#text", "x".repeat(1_200_000));
  await alice.press("#text", "Enter");
  await alice.waitForSelector("#messages .error:has-text('The message has 1.2 MB; 1.1 MB can be sent at most.')");
  check((await alice.inputValue("#text")).length === 1_200_000, "what can't be sent is lost");
  await alice.fill("#text", "");
  await say(alice, "hello carol");
  await waitState(alice, "hello carol", "stored");
  await alice.click("#talks button:has-text('bob')");
  await alice.fill("#text", "");
}

// What people do with messages: reactions, edits, replies, taking back; and what they see of each other
async function together(alice, bob) {
  await alice.click("#talks button:has-text('bob')");
  await bob.click("#talks button:has-text('alice')");
  await alice.waitForSelector("#presence:has-text('here now')");
  await alice.fill("#text", "a tpyo\nin two lines, see https://example.org/a?b=c.");
  await bob.waitForSelector("#presence:has-text('alice is typing')");
  await alice.press("#text", "Shift+Enter");
  check((await alice.inputValue("#text")).endsWith("\n"), "Shift+Enter begins no line");
  await alice.press("#text", "Enter");
  await waitFor(bob, "a tpyo");
  await bob.evaluate(() => document.getElementById("messages").scrollTo(0, 1e6));    // It began at the first unread one
  await waitState(alice, "a tpyo", "read");
  check(await bob.getAttribute("#messages li:has-text('a tpyo') a", "href") === "https://example.org/a?b=c", "the link");
  await tool(bob, "a tpyo", "Thumbs up");
  await alice.waitForSelector("#messages .reactions button:has-text('👍 1')");
  await bob.waitForSelector("#messages .reactions button.mine:has-text('👍 1')");
  await tool(alice, "a tpyo", "Edit");
  await alice.fill("#text", "a typo");
  await alice.press("#text", "Enter");
  await bob.waitForSelector("#messages li:has-text('a typo') .foot:has-text('edited')");
  await tool(bob, "a typo", "Reply");
  await bob.waitForSelector("#about:has-text('Reply to alice: a typo')");
  await say(bob, "an answer");
  await alice.waitForSelector("#messages li:has-text('an answer') .quote:has-text('alice: a typo')");
  await shot(alice, "together");
  await bob.click("#messages .reactions button.mine");
  await alice.waitForFunction(() => !document.querySelector("#messages .reactions"));
  await tool(bob, "an answer", "Take back");
  await alice.waitForSelector("#messages li.recalled:has-text('This message was taken back.')");
  // Unread ones are counted, and no more when they are looked at
  await bob.click("#talks button:has-text('#rooks')");
  await bob.waitForSelector("#talks button:has-text('#rooks') .unread", {state: "hidden"});
  await say(alice, "are you there?");
  await bob.waitForSelector("#talks button:has-text('alice') .unread:has-text('1')");
  check((await bob.title()).startsWith("(1) "), await bob.title());
  await bob.reload();
  await bob.waitForSelector("#talks button:has-text('alice') .unread:has-text('1')");
  await bob.click("#talks button:has-text('alice')");
  await bob.waitForSelector("#messages li.first-unread:has-text('are you there?')");
  await waitState(alice, "are you there?", "read");
  await bob.waitForFunction(() => !document.title.startsWith("("));
}

// The page keeps to its own policy (Content-Security-Policy), pictures and all
async function policy(url) {
  const complaints = [];
  const context = await openContext({bypassCSP: false});
  context.on("console", message => /content security policy/i.test(message.text()) && complaints.push(message.text()));
  const dora = await signIn(context, url, "dora"), emil = await signIn(context, url, "emil");
  await dora.fill("#new-name", "emil");
  await dora.click("#new-talk button");
  await say(dora, "within the policy");
  await emil.click("#talks button:has-text('dora')");
  await waitFor(emil, "within the policy");
  await picture(dora, emil);
  const response = await dora.reload();
  const field = response.headers()["content-security-policy"] ?? "";
  check(/frame-ancestors 'none'/.test(field) && response.headers()["x-content-type-options"] === "nosniff", field);
  check(complaints.length === 0, complaints.join("; "));
  await context.close();
}

// The program in the README does what it says, as it stands there but for the port
async function readme(context, url, bob) {
  const text = fs.readFileSync(path.join(__dirname, "../../README.md"), "utf8");
  const program = text.match(/```js\n([^]*?)```/)[1];
  check(program.includes("ws://127.0.0.1:8080/ws"), "the README's program connects elsewhere");
  const page = await context.newPage();
  await page.goto(new URL("/nothing-here", url).href);
  const heard = page.waitForEvent("console", {predicate: line => line.text() === "bob: Hi Alice!"});
  await page.evaluate(program.replace("127.0.0.1:8080", new URL(url).host));
  await bob.click("#talks button:has-text('alice')");
  await waitFor(bob, "Hi Bob!");
  await say(bob, "Hi Alice!");
  await heard;
  await page.close();
}

async function main() {
  const url = (await startServer("chat/media=6000000")).split(" ")[1];
  const context = await openContext({viewport: {width: 1000, height: 640}});
  const alice = await signIn(context, url, "alice"), bob = await signIn(context, url, "bob");
  await talkOfTwo(alice, bob);
  await readme(await openContext(), url, bob);
  await groupTalk(alice, bob);
  await whileAway(alice, bob, url);
  await picture(alice, bob);
  await together(alice, bob);
  await drafts(alice, bob);
  await policy(url);
  await scrollUp(alice, url);
  await serverRestart(alice, bob, url);
  const phone = await openContext({viewport: {width: 390, height: 700}, colorScheme: "dark"});
  const carol = await signIn(phone, url, "carol");
  await shot(carol, "phone-list");
  await openTalk(carol, "#rooks");
  await say(carol, "Hello from a phone");
  await waitState(carol, "Hello from a phone", "stored");
  await shot(carol, "phone");
}

run(main);
