// console.js - the console page in a real Chromium while a server is under load
//
// node selftest/e2e/console.js build/rookery [FOLDER]; screenshots go to FOLDER when one is named.

const {spawn, execFileSync} = require("node:child_process");
const {binary, folder, startServer, stopServer, check, openContext, shot, run} = require("./browser.js");

const ctl = (...words) => execFileSync(binary, ["ctl", "-e", `ipc://${folder}/control`, ...words], {encoding: "utf8"});

function load(url, chats) {
  const bench = spawn(binary, ["bench", "--url", url, "--rate", "3000", "--chats", String(chats)], {stdio: "ignore"});
  return new Promise(resolve => bench.on("exit", resolve));
}

// Boxes for all actors, arrows that move, each with its rate
async function picture(page) {
  for (const name of ["gateway", "receiver", "dispatcher", "worker-1", "worker-2", "sqlite", "sender"])
    await page.waitForSelector(`.box[data-actor="${name}"][data-state=up]`);
  for (const arrow of ["*clients gateway", "gateway worker-1", "gateway worker-2", "worker-1 sqlite",
                       "sqlite worker-1", "worker-1 sender", "sender gateway", "gateway *clients"])
    await page.waitForSelector(`[data-arrow="${arrow}"] .moves`);
  const rate = await page.textContent('[data-arrow="gateway worker-1"] .rate');
  check(/^[\d.]+k?\/s$/.test(rate) && parseFloat(rate) > 0, `rate: ${rate}`);
  check(await page.$$eval("#totals dd", nodes => +nodes[1].textContent) === 100, "clients");
  await page.waitForSelector("#handler-table td:has-text('chat')");
  // No box lies on another
  const boxes = await page.$$eval(".flow rect.frame, .outside rect", nodes => nodes.map(node => node.getBoundingClientRect().toJSON()));
  for (const one of boxes)
    for (const two of boxes)
      check(one === two || one.x >= two.right || two.x >= one.right || one.y >= two.bottom || two.y >= one.bottom, "boxes overlap");
}

// A click shows an actor; its charts have more than one point; the worker has its handlers
async function details(page) {
  await page.click('.box[data-actor="worker-1"]');
  await page.waitForSelector("#detail-name:has-text('worker-1')");
  await page.waitForFunction(() => document.querySelector("#detail-charts polyline").getAttribute("points").split(" ").length > 3);
  await page.waitForSelector("#detail-handlers td:has-text('chat')");
  await page.waitForSelector("#detail-errors:has-text('No errors')");
  await shot(page, "console-detail", {fullPage: true});
  await page.keyboard.press("Escape");
  await page.waitForSelector("#detail", {state: "hidden"});
  await page.focus('.box[data-actor="sqlite"]');
  await page.keyboard.press("Enter");
  await page.waitForSelector("#detail-name:has-text('sqlite')");
  await page.click("#detail-close");
}

async function events(page) {
  ctl("log", "warn", "sender");
  await page.waitForSelector("#event-list li[data-kind=control]:has-text('sender: the log level is warn')");
}

async function narrow(url) {
  const phone = await openContext({viewport: {width: 390, height: 800}, colorScheme: "dark"});
  const page = await phone.newPage();
  await page.goto(url);
  await picture(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check(wide <= 390, `the page is ${wide} wide in a window of 390`);
  await shot(page, "console-phone", {fullPage: true});
}

async function restart(page, listen) {
  await stopServer();
  await page.waitForSelector("#banner:not([hidden])");
  await shot(page, "console-lost");
  await startServer(`console/listen=${listen}`);
  await page.waitForSelector("#state[data-state=ready]");
  await page.waitForSelector("#banner", {state: "hidden"});
}

async function main() {
  const line = await startServer("worker/count=2");
  const url = /console (\S+)/.exec(line)[1], chat = /ws:\S+/.exec(line)[0];
  const page = await (await openContext({viewport: {width: 1280, height: 900}})).newPage();
  const loaded = load(chat, 60000);
  await page.goto(url);
  await picture(page);
  await details(page);
  await events(page);
  await shot(page, "console", {fullPage: true});
  await narrow(url);
  check(await loaded === 0, "the load generator failed");
  await restart(page, new URL(url).host);
}

run(main);
