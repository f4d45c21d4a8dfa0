// page.js - files, voice, groups, search, mentions and the page offline, in a real Chromium: node selftest/e2e/page.js build/rookery [FOLDER]
//
// Screenshots go to FOLDER when one is named. And what everybody must be able to do: with the keyboard alone, on small and large
// screens, in light and dark, with labels that say what things are and colours that can be told apart.

const fs = require("fs");
const path = require("path");
const {execFileSync} = require("node:child_process");
const {folder, startServer, stopServer, check, openContext, shot, signIn, openTalk, say, waitFor, tool, run} = require("./browser.js");

const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const settings = ["media/secret=a secret of the test, 32 bytes long", "chat/media=20000000"];

// A picture, a file with nothing to see, progress, and pictures that aren't loaded before they are in sight
async function files(ann, bob) {
  await openTalk(ann, "bob");
  await ann.setInputFiles("#file", [{name: "dot.png", mimeType: "image/png", buffer: PNG},
                                    {name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("line\n".repeat(2_000_000))}]);
  await bob.click("#talks button[aria-label^='ann' i]");
  await bob.waitForFunction(() => document.querySelector("#messages img[alt='dot.png']")?.naturalWidth === 1);
  const link = await bob.waitForSelector("#messages a:has-text('notes.txt (10.0 MB)')[href*='/media/']");
  const [download] = await Promise.all([bob.waitForEvent("download"), link.click()]);
  check(download.suggestedFilename() === "notes.txt" && fs.statSync(await download.path()).size === 10_000_000, "the download");
  await ann.waitForSelector("#messages li:has-text('notes.txt'):is([data-state=delivered], [data-state=read])");
  check(await ann.$("#messages progress") === null, "it is sent, and shows progress");
  // Dropped and pasted ones go, too
  await ann.evaluate(bytes => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
    document.getElementById("chat").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
    document.getElementById("text").dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
  }, [...PNG]);
  await bob.waitForFunction(() => document.querySelectorAll("#messages img[alt='dropped.png']").length === 2);
  await tool(bob, "notes.txt", "Forward");
  await shot(bob, "forward");
  await bob.keyboard.press("Escape");
  await shot(ann, "files");
}

// A file that is chosen without a network waits here, also over a reload, and goes when there is one
async function filesOffline(ann, bob, url) {
  await ann.click("#talks button:has-text('Bob the Rook')");
  await bob.click("#talks button[aria-label^='ann' i]");
  await stopServer();
  await ann.waitForSelector("#banner:not([hidden])");
  await ann.setInputFiles("#file", {name: "later.png", mimeType: "image/png", buffer: PNG});
  await ann.waitForSelector("#messages li[data-state=sent] img[alt='later.png']");
  await ann.reload();    // The page itself comes from the service worker
  await ann.waitForSelector("#chat:not([hidden])");
  await ann.waitForSelector("#banner:not([hidden])");
  await ann.click("#talks button:has-text('carl')");    // The list is there
  await ann.click("#talks button:has-text('Bob the Rook')");
  await ann.waitForSelector("#messages img[alt='later.png']");
  await shot(ann, "offline-reload");
  await startServer(`gateway/listen=${new URL(url).host}`, ...settings);
  await bob.waitForSelector("#messages img[alt='later.png']");
  await ann.waitForSelector("#chat:not([hidden])");
  await ann.click("#talks button[aria-label^='bob' i]");
  await ann.waitForSelector("#messages li:is([data-state=delivered], [data-state=read], [data-state=stored]) img[alt='later.png']");
}

// The list is in order whatever has changed of it at once
async function inOrder(page) {
  const wrong = await page.evaluate(async () => {
    const {List} = await import("/list.js"), list = new List(document.createElement("ul"), () => {}, () => false, () => {});
    const talks = Array.from({length: 150}, (_, nbr) => ({name: `${nbr}`, title: `${nbr}`, preview: "", unread: 0, at: nbr}));
    let seed = 1;
    const random = most => (seed = seed * 48271 % 2147483647) % most;
    list.show(new Set(talks));
    for (let round = 0; round < 200; round++) {
      const some = new Set(talks.filter(() => random(5) === 0));
      some.forEach(talk => { talk.at = random(1e9); });
      list.show(some);
      const shown = [...list.node.querySelectorAll(".name")].map(node => node.textContent);
      const wanted = [...talks].sort((a, b) => b.at - a.at).slice(0, 100).map(talk => talk.title);
      if (shown.join() !== wanted.join())
        return `round ${round}: ${shown}`;
    }
    return "";
  });
  check(!wrong, wrong);
}

// What is kept for that is no more than what the server says
async function left(ann, url) {
  await openTalk(ann, "#attic");
  await ann.waitForSelector("#members:has-text('ann')");
  await ann.goto("about:blank");
  const desk = await signIn(ann.context(), url, "ann");
  await desk.click("#talks button:has-text('attic')");
  await desk.click("#info");
  await desk.click("dialog button:has-text('Leave the group')");
  await desk.waitForFunction(() => document.getElementById("title").textContent === "Choose a talk");
  await desk.close();
  await ann.goto(url);
  await ann.waitForSelector("#talks button[aria-label^='Bob' i]");
  await ann.waitForSelector("#talks button:has-text('attic')", {state: "detached"});
}

async function voice(ann, bob) {
  await ann.click("#voice");
  await ann.waitForSelector("#voice.recording:has-text('1 s')");
  await shot(ann, "recording");
  await ann.click("#voice");
  await bob.waitForSelector("#messages audio[src*='/media/']");
  const seconds = await bob.evaluate(async () => {
    const audio = document.querySelector("#messages audio");
    await audio.play();
    await new Promise(resolve => audio.addEventListener("timeupdate", resolve, {once: true}));
    return audio.currentTime;
  });
  check(seconds >= 0 && await bob.evaluate(() => !document.querySelector("#messages audio").error), "it doesn't play");
}

// A group by invitation: made, joined by the invitation, its settings, roles, mentions, removal
async function groups(ann, bob) {
  await ann.click("#new-group");
  await ann.fill("dialog input[name=groupID]", "club");
  await ann.fill("dialog input[name=name]", "The Club");
  await shot(ann, "new-group");
  await ann.click("dialog form button:has-text('Make it')");
  await ann.waitForFunction(() => document.getElementById("title").textContent === "#The Club");
  await ann.click("#info");
  await ann.fill("dialog input[name=uid]", "bob");
  await ann.click("dialog button:has-text('Invite')");
  await ann.waitForSelector("dialog h3:has-text('Invited')");
  await bob.click("#messages .note button:has-text('Join')");
  await bob.waitForSelector("#members:has-text('ann')");
  await ann.keyboard.press("Escape");
  await waitFor(ann, "bob joined");
  await ann.click("#info");
  await ann.click("dialog summary");
  await ann.fill("dialog textarea[name=description]", "For those who like towers");
  await ann.selectOption("dialog select[name=writers]", "owners");
  await ann.click("dialog button:has-text('Save')");
  await waitFor(bob, "ann changed the group's settings");
  await ann.waitForSelector("dialog p:has-text('For those who like towers')");
  await shot(ann, "group-dialog");
  await ann.click("dialog button[aria-label='Make an owner: bob']");
  await waitFor(bob, "ann made bob an owner");
  await ann.keyboard.press("Escape");
  // Mentions: offered, taken by key, counted
  await bob.click("#talks button[aria-label^='ann' i]");
  await ann.fill("#text", "");
  await ann.type("#text", "look @b");
  await ann.waitForSelector("#offered li.chosen:has-text('bob')");
  await shot(ann, "mention");
  await ann.keyboard.press("Tab");
  check(await ann.inputValue("#text") === "look @bob ", await ann.inputValue("#text"));
  await ann.keyboard.press("Enter");
  await bob.waitForSelector("#talks button:has-text('club') .unread:has-text('1')");
  await bob.reload();
  await bob.waitForSelector("#talks button:has-text('Club') .unread:has-text('@')");
  await bob.click("#talks button:has-text('Club')");
  await waitFor(bob, "look @bob");
  check(await bob.textContent("#messages .mention.me") === "@bob" && await ann.textContent("#messages .mention:not(.me)") === "@bob", "the mention isn't marked");
  await bob.click("#info");
  await bob.click("dialog button:has-text('Leave the group')");
  await waitFor(ann, "bob left");
  await bob.waitForFunction(() => document.getElementById("title").textContent === "Choose a talk");
}

async function people(ann, bob) {
  await bob.click("#own");
  await bob.fill("dialog input[name=name]", "Bob the Rook");
  await bob.click("dialog button:has-text('Save')");
  await bob.waitForFunction(() => !document.getElementById("dialog").open);
  await ann.click("#talks button[aria-label^='bob' i]");
  await ann.click("#info");
  await ann.waitForSelector("dialog h2:has-text('Bob the Rook')");
  await ann.click("dialog button:has-text('Ask to be contacts')");
  await bob.click("#messages .note button:has-text('Look')");
  await bob.click("dialog button:has-text('Accept as a contact')");
  await bob.waitForSelector("dialog button:has-text('Remove from contacts')");
  await bob.click("dialog button:has-text('Block')");
  await bob.waitForSelector("dialog button:has-text('Unblock')");
  await ann.keyboard.press("Escape");
  await say(ann, "can you hear me?");
  await ann.waitForSelector("#messages li.failed:has-text('can you hear me?') .why:has-text(\"you can't talk to bob\")");
  await bob.click("dialog button:has-text('Unblock')");
  await bob.waitForSelector("dialog button:has-text('Block'):not(:has-text('Unblock'))");
  await bob.keyboard.press("Escape");
  await ann.click("#messages li.failed:has-text('can you hear me?') button:has-text('Try again')");
  await ann.waitForSelector("#messages li:not(.failed):has-text('can you hear me?')");
}

// A picture of one's own, which others see; and of a group
async function pictures(ann, bob) {
  const chosen = (page, file) => page.setInputFiles("dialog input[type=file]", file), portrait = fs.readFileSync(path.join(__dirname, "../../docs/chat.png"));
  const isThere = (page, where) => page.waitForFunction(selector => document.querySelector(selector)?.naturalWidth === 256, `${where} .avatar img[src*='/media/']`);
  await bob.click("#own");
  await chosen(bob, {name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture")});
  await bob.waitForSelector("dialog .error:has-text('notes.png is no picture that can be shown here.')");
  await chosen(bob, {name: "me.png", mimeType: "image/png", buffer: portrait});
  await isThere(bob, "dialog");
  check(!await bob.locator("dialog .error").count(), "what was wrong before is still said");
  await shot(bob, "own-picture");
  await bob.keyboard.press("Escape");
  await ann.reload();
  await isThere(ann, "#talks button[aria-label^='bob' i]");
  await ann.click("#talks button:has-text('Club')");
  await ann.click("#info");
  await ann.click("dialog summary");
  await chosen(ann, {name: "club.png", mimeType: "image/png", buffer: portrait});
  await isThere(ann, "#talks button[aria-label^='#The Club' i]");
  await ann.keyboard.press("Escape");
  await shot(ann, "pictures");
}

// What one hears of while one looks at something else: a count in the title, a sound only when it is wished for
async function unseen(ann, bob) {
  const sounds = () => bob.evaluate(() => globalThis.sounds);
  await bob.click("#talks button[aria-label^='ann' i]");
  await bob.waitForFunction(() => !document.title.startsWith("("));
  await bob.evaluate(() => {    // As in a tab that lies behind another one
    globalThis.sounds = 0;
    globalThis.requestAnimationFrame = () => 0;
    Object.defineProperty(document, "hidden", {get: () => true, configurable: true});
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function(...when) {
      globalThis.sounds++;
      return start.apply(this, when);
    };
  });
  await ann.click("#talks button[aria-label^='bob' i]");
  await say(ann, "without a sound");
  await bob.waitForFunction(() => document.title.startsWith("(1) "), undefined, {polling: 100});    // Not by frame
  check(await sounds() === 0, "a sound that nobody wished for");
  await bob.click("#own");
  await bob.check("dialog input[name=sound]");
  await bob.keyboard.press("Escape");
  await say(ann, "with a sound");
  await waitFor(bob, "with a sound");
  check(await sounds() === 1, `${await sounds()} sounds`);
  await bob.reload();
}

// Found in a longer Chinese sentence, far back in a talk; and sent on to another one
async function searching(ann, bob) {
  await ann.click("#talks button[aria-label^='bob' i]");
  await say(ann, "明天我们去上海看看");
  await ann.waitForSelector("#messages li:has-text('上海'):not([data-state=sent])");
  for (let nbr = 0; nbr < 150; nbr++)
    await say(ann, `filler ${nbr}`);
  await ann.waitForSelector("#messages li:has-text('filler 149'):not([data-state=sent])");
  await ann.reload();
  await ann.waitForSelector("#talks button[aria-label^='bob' i]");
  await ann.fill("#search", "上海");
  await ann.click("#found button:has-text('上海')");
  await ann.waitForFunction(() => document.activeElement.textContent.includes("上海"));
  await shot(ann, "found");
  await ann.fill("#search", "nobody said that");
  await ann.waitForSelector("#found .hint:has-text('Nothing has all of these words')");
  await ann.press("#search", "Escape");
  await ann.waitForSelector("#found", {state: "hidden"});
  await openTalk(ann, "carl");
  await ann.click("#talks button[aria-label^='bob' i]");
  await waitFor(ann, "filler 149");
  await tool(ann, "filler 149", "Forward");
  await ann.click("dialog .rows button:has-text('carl')");
  await ann.waitForFunction(() => document.getElementById("title").textContent === "carl");
  await waitFor(ann, "filler 149");
}

// Signs in, begins a talk, says something, reads, edits, finds settings: no mouse
async function keyboard(ann, context, url) {
  const page = await context.newPage();
  const tabTo = async (what, most = 60) => {
    for (let nbr = 0; nbr < most; nbr++) {
      if (await page.evaluate(selector => document.activeElement.matches(selector), what))
        return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`no way to ${what} by the Tab key`);
  };
  await page.goto(url);
  await page.waitForFunction(() => document.activeElement.id === "name");
  await page.keyboard.type("kay");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#chat:not([hidden])");
  await tabTo("#new-name");
  await page.keyboard.type("ann");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "text");
  await page.keyboard.type("by key");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#messages li:has-text('by key'):not([data-state=sent])");
  for (let nbr = 0; nbr < 10 && !await page.evaluate(() => document.activeElement.id === "messages"); nbr++)
    await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("ArrowUp");
  await page.waitForFunction(() => document.activeElement.matches("#messages li"));
  await tabTo("#messages .tools button[aria-label=Edit]", 10);
  await ann.click("#talks button[aria-label^='kay' i]");
  await page.waitForSelector("#messages li[data-state=read]:has-text('by key')");    // Drawn anew, and one stays where one is
  check(await page.evaluate(() => document.activeElement.matches("button[aria-label=Edit]")), "the focus is lost");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "text" && document.activeElement.value === "by key");
  await page.keyboard.type(", edited");
  await page.keyboard.press("Enter");
  await waitFor(page, "by key, edited");
  await tabTo("#own", 80);
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open]");
  check(await page.evaluate(() => document.getElementById("dialog").contains(document.activeElement)), "the dialog has no focus");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.activeElement.id === "own");    // Back where one was
  await page.close();
}

// WCAG 2.1: names (4.1.2), contrast (1.4.3), nothing that is wider than the screen (1.4.10)
function findFaults() {
  const faults = [], visible = node => node.checkVisibility?.() && node.getClientRects().length;
  const channels = text => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(one => one / 255).map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, nbr) => sum + one * [0.2126, 0.7152, 0.0722][nbr], 0);
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(at).backgroundColor);
      if (a > 0.9)
        return [r, g, b];
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 23, 28] : [255, 255, 255];
  };
  for (const node of document.querySelectorAll("button, input, textarea, select, a, audio, video, img, [role]"))
    if (visible(node) && !node.closest("[aria-hidden=true]") && !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent || node.textContent.trim() || node.alt || node.title || node.getAttribute("role") === "status" || node.getAttribute("role") === "alert"))
      faults.push(`no name: ${node.outerHTML.slice(0, 100)}`);
  for (const node of document.querySelectorAll("*")) {
    const text = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!text || !visible(node) || node.matches(":disabled, :disabled *, option"))
      continue;
    const style = getComputedStyle(node), [one, two] = [light(channels(style.color)), light(ground(node))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 600;
    if ((one + 0.05) / (two + 0.05) < (large ? 3 : 4.5) - 0.01)
      faults.push(`contrast ${((one + 0.05) / (two + 0.05)).toFixed(2)}: ${node.outerHTML.slice(0, 100)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth)
    faults.push(`wider than the screen: ${document.documentElement.scrollWidth}`);
  if (document.querySelectorAll("[id]").length !== new Set([...document.querySelectorAll("[id]")].map(node => node.id)).size)
    faults.push("an id is there twice");
  return faults;
}

// All sizes and colours: the list, a talk, a dialog
async function screens(url) {
  for (const width of [360, 800, 1400])
    for (const colorScheme of ["light", "dark"]) {
      const context = await openContext({viewport: {width, height: 740}, colorScheme}), look = async name => {
        const faults = await page.evaluate(findFaults);
        check(!faults.length, `${width} ${colorScheme} ${name}: ${faults.join("\n")}`);
        await shot(page, `${name}-${width}-${colorScheme}`);
      };
      const page = await signIn(context, url, "ann");
      await page.waitForSelector("#talks button[aria-label^='bob' i]");
      await look("list");
      await page.click("#talks button:has-text('Club')");
      await page.waitForSelector("#messages li");
      await look("talk");
      await page.click("#info");
      await page.waitForSelector("dialog .people li");
      await look("dialog");
      check(!page.errors.length, page.errors.join("\n"));
      await context.close();
    }
}

// 100,000 messages in a talk, and 1,000 talks: what one more message costs. Told, not judged, for that is the machine's
async function large(url) {
  await stopServer();
  const sql = `
INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body)
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
  SELECT 'lea,max', i, 'max', 'm' || i, 'lea', '', 1700000000000 + i * 1000,
         '{"action":"chat","content":{"fromAccountID":"max","toAccountID":"lea","chatID":"m' || i || '","text":"message ' || i || '"}}' FROM n;
INSERT INTO message (conversation, seq, sender, chat_id, recipient, device, at, body)
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
  SELECT 'lea,u' || i, 1, 'u' || i, 'm', 'lea', '', 1600000000000 + i * 1000,
         '{"action":"chat","content":{"fromAccountID":"u' || i || '","toAccountID":"lea","chatID":"m","text":"hi"}}' FROM n;
INSERT INTO member (uid, conversation, direct, since)
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT 'lea', 'lea,u' || i, 1, 0 FROM n;
INSERT INTO member (uid, conversation, direct, since, read_seq) VALUES ('lea', 'lea,max', 1, 0, 100000), ('max', 'lea,max', 1, 0, 100000);`;
  execFileSync("/usr/bin/python3", ["-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())", path.join(folder, "chat.db")], {input: sql});
  await startServer(`gateway/listen=${new URL(url).host}`, ...settings);
  const context = await openContext({viewport: {width: 1000, height: 700}}), max = await signIn(context, url, "max");
  const lea = await signIn(context, url, "lea");
  await lea.waitForSelector("#talks button");
  const began = Date.now();
  await lea.reload();    // Signed in as before
  await lea.waitForSelector("#talks button[aria-label^='max' i]");
  await lea.click("#talks button[aria-label^='max' i]");
  await waitFor(lea, "message 100000");
  const used = Date.now() - began;
  console.log(`   1,000 talks: one is open ${used} ms after the page was asked for`);
  for (let nbr = 0; nbr < 60; nbr++) {    // Some thousand of them are in memory then
    await lea.evaluate(() => { document.getElementById("messages").scrollTop = 0; });
    await lea.waitForTimeout(20);
  }
  await lea.click("#more");
  await max.click("#talks button[aria-label^='lea' i]");
  const session = await context.newCDPSession(lea);
  await session.send("Performance.enable");
  const spent = async () => Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map(({name, value}) => [name, value * 1000]));
  const before = await spent();
  for (let nbr = 1; nbr <= 100; nbr++)
    await say(max, `live ${nbr}.`);
  await waitFor(lea, "live 100.");
  const now = await spent(), each = name => ((now[name] - before[name]) / 100).toFixed(1);
  const nodes = await lea.evaluate(() => document.querySelectorAll("#messages li").length);
  check(nodes <= 200, `${nodes} nodes in the page`);
  check(!await lea.locator("#messages .error").count(), await lea.locator("#messages .error").allTextContents());
  for (let rows = 0; rows < 1001;) {    // The list has all of them for who goes there
    await lea.evaluate(() => { document.getElementById("talks").scrollTop = 1e9; });
    await lea.waitForFunction(count => document.querySelectorAll("#talks button").length > count, rows);
    rows = await lea.locator("#talks button").count();
  }
  console.log(`   one message more in a talk of 100,000 beside 1,000 others: ${each("TaskDuration")} ms of the page's time, of which scripts ${each("ScriptDuration")}, ` +
              `layout ${each("LayoutDuration")}, styles ${each("RecalcStyleDuration")}; ${nodes} nodes`);
  await context.close();
}

async function main() {
  const url = (await startServer(...settings)).split(" ")[1];
  const context = await openContext({viewport: {width: 1000, height: 700}, permissions: ["microphone", "notifications"]});
  const ann = await signIn(context, url, "ann"), bob = await signIn(context, url, "bob");
  const steps = {files, voice, groups, people, pictures, unseen, searching, filesOffline};
  for (const [name, step] of Object.entries(steps)) {
    console.log(` * ${name}`);
    await step(ann, bob, url);
  }
  await left(ann, url);
  await inOrder(ann);
  await keyboard(ann, context, url);
  await screens(url);
  await large(url);
}

run(main);
