// voice.js - says something aloud: recorded by the browser, sent as a file

const MOST = 600000;    // msec of one recording
const FORMS = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

// Why nothing can be recorded here, or nothing
function noVoice() {
  if (!globalThis.MediaRecorder || !navigator.mediaDevices)
    return globalThis.isSecureContext ? "This browser can't record." : "Browsers record only on pages that come by https.";
  return "";
}

// Records until stop () of what it resolves to; that resolves to {file, duration} with seconds, or to nothing when nothing was said.
async function record(tick) {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true});
  const mimeType = FORMS.find(form => MediaRecorder.isTypeSupported(form)), recorder = new MediaRecorder(stream, {mimeType});
  const pieces = [], began = Date.now();
  recorder.ondataavailable = event => pieces.push(event.data);
  const ended = new Promise(resolve => { recorder.onstop = resolve; });
  const timer = setInterval(() => tick(Math.floor((Date.now() - began) / 1000)), 250);
  const most = setTimeout(() => recorder.state === "recording" && recorder.stop(), MOST);
  recorder.start(1000);
  return async () => {
    if (recorder.state === "recording")
      recorder.stop();
    await ended;
    clearInterval(timer);
    clearTimeout(most);
    stream.getTracks().forEach(track => track.stop());
    const blob = new Blob(pieces, {type: recorder.mimeType.split(";")[0]}), end = {"audio/ogg": "oga", "audio/mp4": "m4a"}[blob.type] ?? "weba";
    return blob.size ? {file: new File([blob], `voice.${end}`, {type: blob.type}), duration: Math.round((Date.now() - began) / 1000)} : undefined;
  };
}

// A button whose first push records and whose second one sends: done (where, {file, duration}) with what where () was at the first;
// say (text) tells why it can't
export function voiceButton(button, say, where, done) {
  const time = button.lastElementChild;
  let recording, place;
  const begin = async () => {
    place = where();
    recording = record(seconds => { time.textContent = `■ ${seconds} s`; });
    try {
      await recording;
      button.classList.add("recording");
    } catch (error) {
      recording = undefined;
      say(error.name === "NotAllowedError" ? "This page may not use the microphone; the browser's settings say so."
                                           : `The microphone can't be used: ${error.message}`);
    }
  };
  const end = async () => {
    const stop = await recording;
    recording = undefined;
    button.classList.remove("recording");
    const said = await stop();
    time.textContent = "";
    if (said)
      done(place, said);
  };
  button.onclick = () => recording ? end() : noVoice() ? say(noVoice()) : begin();
}
