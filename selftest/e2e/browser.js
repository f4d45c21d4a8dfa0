// browser.js - what the tests in a browser share: a server of their own, Chromium, checks

const {spawn} = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const {chromium} = require(path.resolve("build/node/node_modules/playwright-core"));

const [binary, shots] = process.argv.slice(2);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "rookery-web-"));
let server, browser;

// Starts the server with these settings over the usual ones; resolves to its ready line
function startServer(...settings) {
  return new Promise((resolve, reject) => {
    const words = ["run"];
    for (const setting of ["gateway/listen=127.0.0.1:0", "receiver/upstream=none", "sender/downstream=none",
                           "console/listen=127.0.0.1:0", `console/control=ipc://${folder}/control`,
                           `store/path=${folder}/chat.db`, `media/folder=${folder}/media`, ...settings])
      words.push("-s", setting);
    server = spawn(binary, words, {stdio: ["ignore", "pipe", "inherit"]});
    server.stdout.on("data", data => {
      const line = /^ready .*/.exec(data)?.[0];
      if (line)
        resolve(line);
    });
    server.on("exit", code => reject(new Error(`the server ended with ${code}`)));
  });
}

function stopServer() {
  return new Promise(resolve => {
    server.removeAllListeners("exit");
    server.on("exit", resolve);
    server.kill("SIGTERM");
  });
}

function check(good, what) {
  if (!good)
    throw new Error(what);
}

//  The tests' own functions run by eval, which the pages' policy forbids; web.js "policy" keeps to it
async function openContext(options) {
  browser ??= await chromium.launch({executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required"]});
  const context = await browser.newContext({bypassCSP: true, ...options});
  context.setDefaultTimeout(Number(process.env.ROOKERY_PATIENCE ?? 180) * 1000);    // Shorter to see sooner what is wrong with a test
  context.on("page", page => page.on("pageerror", error => { throw error; }));
  return context;
}

// A screenshot, when the command line names a folder for them
const shot = (page, name, options) => shots && page.bringToFront().then(() => page.screenshot({path: path.join(shots, name + ".png"), ...options}));

// What people do in the chat page
async function signIn(context, url, name) {
  const page = await context.newPage();
  page.errors = [];    // What its console has complained about
  page.on("console", line => line.type() === "error" && page.errors.push(line.text()));
  await page.goto(url);
  await page.fill("#name", name);
  await page.click("#sign-in-form button");
  await page.waitForSelector("#chat:not([hidden])");
  return page;
}

async function openTalk(page, name) {
  await page.fill("#new-name", name);
  await page.click("#new-talk button");
  await page.waitForFunction(title => document.getElementById("title").textContent === title, name);
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

const waitFor = (page, text) => page.waitForSelector(`#messages li:has-text("${text}")`);

// Chooses one of the things that can be done with a message
async function tool(page, text, label) {
  await page.hover(`#messages li:has-text("${text}")`);
  await page.click(`#messages li:has-text("${text}") .tools button[aria-label="${label}"]`);
}

// Runs the test, ends all that was started, exits with a closing line
function run(test) {
  test().then(() => 0, error => {
    console.error(error);
    return 1;
  }).then(async code => {
    await browser?.close();
    await stopServer();
    fs.rmSync(folder, {recursive: true, force: true});
    console.log(`${code ? 0 : 1} passed, ${code} failed`);
    process.exit(code);
  });
}

module.exports = {binary, folder, startServer, stopServer, check, openContext, shot, signIn, openTalk, say, waitFor, tool, run};
