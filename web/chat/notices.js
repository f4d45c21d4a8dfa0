// notices.js - what a person hears of while nobody looks at the page

// Asks whether it may, once; at a moment when somebody has just done something that asks for it
export function askForNotices() {
  if (globalThis.Notification?.permission === "default")
    Notification.requestPermission();
}

// Somebody else's entry in a talk; open (talk) when it is chosen
export function notice(talk, entry, open) {
  if (!document.hidden || talk.mutedTill > Date.now() || globalThis.Notification?.permission !== "granted")
    return;
  const title = talk.group ? `${entry.from} in ${talk.title}` : talk.title;
  const shown = new Notification(title, {body: entry.text || entry.fileName || "", tag: talk.conversation});
  shown.onclick = () => {
    window.focus();
    open(talk);
  };
}
