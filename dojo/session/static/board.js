// The page for the projector: takes in the parts that the server sends, and counts the time down.
"use strict";

const PATIENCE = 25; // seconds without a word, after which the connection is made anew
const body = document.body;
const byId = (id) => document.getElementById(id);

// ----- time: that of the server, whatever the clock of this machine says

let serverTime = Number(body.dataset.now);
let heardAt = performance.now();
const now = () => serverTime + (performance.now() - heardAt) / 1000;

function clock(seconds) {
  const whole = seconds > 0 ? Math.ceil(seconds) : Math.floor(-seconds);
  const sign = seconds <= 0 && whole ? "-" : "";
  return `${sign}${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

let rung = null;

function tick() {
  const turn = document.querySelector("#turn > div");
  if (turn && turn.dataset.ends) {
    const left = Number(turn.dataset.ends) - now();
    turn.querySelector(".clock").textContent = clock(left);
    setState(left > 0 ? "running" : "over");
  } else if (turn) {
    setState(turn.dataset.state);
  }
  for (const step of document.querySelectorAll("[data-step-ends]")) {
    const left = Number(step.dataset.stepEnds) - now();
    step.textContent = left > 0 ? `step ${clock(left)}` : "step is over";
    step.classList.toggle("late", left <= 0);
  }
  const part = document.querySelector("#agenda .now");
  if (part) {
    const since = Number(part.parentElement.dataset.since);
    const left = Number(part.dataset.minutes) - (now() - since) / 60;
    const shown = left > 0 ? `${Math.ceil(left)} min left` : `${Math.ceil(-left)} min over`;
    body.dataset.part = part.dataset.title;
    part.querySelector("small").textContent = shown;
    part.classList.toggle("late", left < 0);
  }
}

function setState(state) {
  const turn = document.querySelector("#turn > div");
  const number = turn.dataset.number;
  if (state === "over" && body.dataset.turn === "running" && rung !== number) {
    rung = number;
    if (!/^(Retrospective|Break)/.test(body.dataset.part)) ring();
    byId("said").textContent = turn.querySelector(".if-over").textContent;
  }
  body.dataset.turn = state;
}

// ----- sound: two soft tones at the end of a turn

let audio = null;
let sound = true;

function wakeAudio() {
  // A browser plays nothing before somebody has touched the page.
  audio ??= new AudioContext();
  audio.resume();
}

function ring() {
  if (!audio || !sound) return;
  for (const [start, pitch] of [[0, 660], [0.35, 880], [0.7, 660]]) {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    const at = audio.currentTime + start;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, at);
    volume.gain.exponentialRampToValueAtTime(0.3, at + 0.03);
    volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.6);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.65);
  }
}

// ----- what the server sends

let source = null;
let eventId = body.dataset.eventId;
let spokenAt = performance.now();

function connect() {
  if (source) source.close();
  source = new EventSource(`/events?after=${encodeURIComponent(eventId)}`);
  source.onmessage = (message) => {
    const said = JSON.parse(message.data);
    eventId = message.lastEventId;
    spokenAt = heardAt = performance.now();
    serverTime = said.now;
    for (const [name, html] of Object.entries(said.parts)) show(name, html);
    byId("offline").hidden = true;
    tick();
  };
  source.onerror = () => {
    byId("offline").hidden = false;
  };
}

function show(name, html) {
  const place = byId(name);
  if (!place) return;
  if (name !== "controls") {
    place.innerHTML = html;
    return;
  }
  const open = place.querySelector("details")?.open;
  // Somebody who uses the mouse expects that Space is the key of the turn.
  const focused = document.activeElement;
  const key = focused?.matches(":focus-visible") ? focused.dataset.key : null;
  place.innerHTML = html;
  if (open) place.querySelector("details").open = true;
  if (key) buttonOf(key)?.focus();
}

function watchConnection() {
  if (performance.now() - spokenAt > PATIENCE * 1000 || source.readyState === EventSource.CLOSED) {
    spokenAt = performance.now();
    byId("offline").hidden = false;
    connect();
  }
}

// A page that was asleep does not know for how long.
let ticked = Date.now();
setInterval(() => {
  if (Math.abs(Date.now() - ticked) > 5000) connect();
  ticked = Date.now();
  tick();
}, 250);
setInterval(watchConnection, 2000);
document.addEventListener("visibilitychange", () => document.hidden || connect());

// ----- what the facilitator does

addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.getAttribute("action") !== "/act") return;
  event.preventDefault();
  const refused = byId("refused");
  try {
    const response = await fetch("/act", {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { Accept: "application/json" },
    });
    refused.textContent = response.ok ? "" : (await response.json()).detail;
  } catch {
    refused.textContent = "The server cannot be reached: nothing was changed.";
  }
});

const buttonOf = (key) =>
  [...document.querySelectorAll("[data-key]")].find(
    (button) => button.dataset.key === key && button.offsetParent !== null,
  );

addEventListener("click", (event) => {
  wakeAudio();
  if (event.detail) event.target.closest("#controls button")?.blur();
  const button = event.target.closest("[data-dialog]");
  if (button) toggle(button.dataset.dialog);
});

function toggle(name) {
  const dialog = byId(name);
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, textarea, select")) return;
  wakeAudio();
  const key = event.key.toLowerCase();
  if (key === " " || key === "enter") {
    // On a button, the browser presses that button; Space elsewhere is the turn's.
    if (key === "enter" || event.target.closest("button, a, summary")) return;
    event.preventDefault();
    const kind = { waiting: "turn", running: "pause", paused: "go on", over: "turn" };
    const wanted = kind[body.dataset.turn];
    for (const form of document.querySelectorAll('form[action="/act"]')) {
      if (form.elements.kind.value === wanted && form.offsetParent !== null) {
        form.requestSubmit();
        return;
      }
    }
  } else if (key === "j" || key === "?") {
    toggle(key === "j" ? "join" : "keys");
  } else if (key === "d") {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const root = document.documentElement;
    root.dataset.theme = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  } else if (key === "s") {
    sound = !sound;
    byId("said").textContent = sound ? "Sound on" : "Sound off";
  } else {
    buttonOf(key)?.click();
    const predicted = { 1: "green", 2: "red", 3: "amber" }[key];
    if (predicted && !buttonOf(key)) predict(predicted);
  }
});

function predict(light) {
  for (const form of document.querySelectorAll('form[action="/act"]')) {
    if (form.elements.kind.value === "predict" && form.elements.value.value === light) {
      form.requestSubmit();
    }
  }
}

connect();
tick();
