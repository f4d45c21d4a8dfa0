// files.js - files over HTTP, beside the connection: sent in pieces, so that who is cut off goes on where it was
//
// CLIENT.md, "Files": upload gives leave, POST takes the bytes, and the last answer's receipt makes the file the user's.

const PIECE = 1 << 20;         // bytes of one POST
const ANEW = 3;                // Times that a file is begun anew
const FIRST_PAUSE = 500, LONGEST_PAUSE = 30000;    // msec until what the server couldn't do is tried again; doubles

// Where the server's HTTP is, from the URL of its WebSocket
export function baseOf(url) {
  const {protocol, host} = new URL(url, globalThis.location?.href);
  return `${protocol === "wss:" ? "https:" : "http:"}//${host}`;
}

// One POST: {status, code, offset, receipt ...}; a status of 0 when there was no answer
async function post(url, offset, body) {
  try {
    const answer = await fetch(`${url}&offset=${offset}`, {method: "POST", body, credentials: "omit", referrerPolicy: "no-referrer"});
    return {...await answer.json().catch(() => ({})), status: answer.status};
  } catch {
    return {status: 0};
  }
}

// Whether an answer is the server's: others between may say anything
const saysWhere = ({status, offset}, size) => (status === 200 || status === 409) && Number.isSafeInteger(offset) && offset >= 0 && offset <= size;
const tryLater = ({status}) => status === 0 || status === 200 || status === 409 || status === 429 || status >= 500;

// Sends a Blob. ask (action, fields) resolves to the server's answer; progress (bytes) is called with how many are there; wanted ()
// says whether it still is. Resolves to what "uploaded" is answered, or to undefined when it isn't wanted any more; rejects with
// what refuse (code, message) makes of a refusal.
export async function send(file, {ask, base, refuse, progress, wanted}) {
  let leave, offset = 0, pause = FIRST_PAUSE, unsure = false, anew = 0;
  const rest = async () => {
    await new Promise(resolve => setTimeout(resolve, pause * (0.5 + Math.random())));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  };
  while (wanted()) {
    leave ??= await ask("upload", {size: file.size});
    const url = (leave.fileServer || base) + leave.fileUrl;
    // What can't be read any more, for it has changed on the disk, rejects here
    const piece = unsure ? undefined : await file.slice(offset, offset + PIECE).arrayBuffer();
    const answer = await post(url, unsure ? 0 : offset, piece);
    if (answer.receipt) {
      try {
        return await ask("uploaded", {receipt: answer.receipt});
      } catch (error) {    // It came too late, or the server has another secret now
        if (!["bad-request", "not-found"].includes(error.code) || ++anew > ANEW)
          throw error;
        [leave, offset] = [undefined, 0];
      }
    } else if (saysWhere(answer, file.size)) {
      if (answer.offset > offset)
        pause = FIRST_PAUSE;
      else if (!unsure)
        await rest();
      [offset, unsure] = [answer.offset, false];
      progress(offset);
    } else if (answer.status === 401 && ++anew <= ANEW) {    // The leave's time is over
      [leave, offset, unsure] = [undefined, 0, false];
      await rest();
    } else if (tryLater(answer)) {    // How much of it has come nobody knows: that is asked first
      unsure = true;
      await rest();
    } else {
      throw refuse(answer.code ?? "bad-request", answer.message ?? `the server answers ${answer.status}`);
    }
  }
  return undefined;
}
