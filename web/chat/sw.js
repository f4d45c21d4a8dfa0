// sw.js - the page opens without a network: what it is made of is kept, and asked for anew whenever there is one
//
// Only its own files; what people say, and the files they send, never lie here.

const NAME = "rookery-page";
const FILES = ["./", "style.css", "page.js", "dialog.js", "groups.js", "history.js", "list.js", "media.js", "mentions.js", "messages.js", "notices.js", "picture.js", "presence.js", "search.js",
               "session.js", "talk.js", "text.js", "voice.js", "manifest.json", "icon.svg",
               "client/rookery.js", "client/link.js", "client/files.js", "client/outbox.js"];

self.addEventListener("install", event => event.waitUntil(
  caches.open(NAME).then(cache => cache.addAll(FILES.map(file => new Request(file, {cache: "reload"})))).then(() => self.skipWaiting())));
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));

async function answer(request) {
  try {
    const fresh = await fetch(request);
    if (fresh.ok)
      await (await caches.open(NAME)).put(request, fresh.clone());
    return fresh;
  } catch (error) {
    const kept = await caches.match(request, {ignoreSearch: true});
    if (kept)
      return kept;
    throw error;
  }
}

self.addEventListener("fetch", event => {
  const {pathname, origin} = new URL(event.request.url), here = new URL("./", self.location.href);
  if (event.request.method === "GET" && origin === here.origin && FILES.some(file => new URL(file, here).pathname === pathname))
    event.respondWith(answer(event.request));
});
