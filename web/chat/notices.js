// notices.js - what a person hears of while nobody looks at the page

// Asks whether it may, once; at a moment when somebody has just done something that asks for it
export function askForNotices() {
  if (globalThis.Notification?.permission === "default")
    Notification.requestPermission();
}

// A sound is wished for, or not; not until somebody does
export const soundOn = () => localStorage.getItem("rookery-sound") === "on";
export const setSound = on => localStorage.setItem("rookery-sound", on ? "on" : "off");

function play() {
  const context = new AudioContext(), tone = context.createOscillator(), volume = context.createGain();
  tone.frequency.value = 660;
  volume.gain.setValueAtTime(0.08, context.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.0001, context.currentTime + 0.3);
  tone.connect(volume).connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + 0.3);
  tone.onended = () => context.close();
}

// Somebody else's entry in a talk; open (talk) when it is chosen
export function notice(talk, entry, open) {
  if (!document.hidden || talk.mutedTill > Date.now())
    return;
  if (soundOn())
    play();
  if (globalThis.Notification?.permission !== "granted")
    return;
  const title = talk.group ? `${entry.from} in ${talk.title}` : talk.title;
  const shown = new Notification(title, {body: entry.text || entry.fileName || "", tag: talk.conversation});
  shown.onclick = () => {
    window.focus();
    open(talk);
  };
}
