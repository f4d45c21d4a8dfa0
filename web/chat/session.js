// session.js - who is signed in, in this tab: still so behind a reload, and gone with the tab

// A tab of its own is a device of its own: two tabs of one user both get everything
export function deviceOf(uid) {
  const key = "rookery-device-" + uid;
  if (!sessionStorage.getItem(key))
    sessionStorage.setItem(key, "web-" + crypto.getRandomValues(new Uint32Array(2)).join(""));
  return sessionStorage.getItem(key);
}

export function remember(uid, token) {
  sessionStorage.setItem("rookery-uid", uid);
  sessionStorage.setItem("rookery-token", token);
}

// The beginning of the list, for a page that is opened without a connection
export function keepList(uid, rows) {
  sessionStorage.setItem("rookery-list", JSON.stringify({uid, rows}));
}

export function keptList(uid) {
  const kept = JSON.parse(sessionStorage.getItem("rookery-list") ?? "{}");
  return kept.uid === uid ? kept.rows : [];
}

export function forget() {
  sessionStorage.removeItem("rookery-list");
  sessionStorage.removeItem("rookery-uid");
  sessionStorage.removeItem("rookery-token");
}

// {uid, token}, or nothing
export function remembered() {
  const uid = sessionStorage.getItem("rookery-uid");
  return uid ? {uid, token: sessionStorage.getItem("rookery-token") ?? ""} : undefined;
}

export function socketURL() {
  return `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`;
}
