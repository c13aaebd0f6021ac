// The retrospective: the lights of a session as a film, with a time that can be moved.
"use strict";

const found = JSON.parse(document.getElementById("frames").textContent);
const slider = document.getElementById("time");
const play = document.getElementById("play");
const shown = document.getElementById("shown");
const list = document.getElementById("film");
const SVG = "http://www.w3.org/2000/svg";
const SHOWN = 30;
const LENGTH = 20; // seconds that the whole film takes

const last = found.lights.at(-1);
const end = last ? Math.ceil(last.seconds) : 0;
const begin = last ? Math.max(0, Math.floor(found.lights[0].seconds) - 1) : 0;
slider.min = begin;
slider.max = end;
slider.value = end;
document.getElementById("nothing").hidden = Boolean(last);
if (found.teams.length > 9) list.classList.add("some");
else if (found.teams.length > 5) list.classList.add("nine");

function make(name, text, ...inner) {
  const element = document.createElement(name);
  if (text !== null) element.textContent = text;
  element.append(...inner);
  return element;
}

function light(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", `light ${name}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", name);
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

const rows = found.teams.map((name) => {
  const current = make("span", null);
  const at = make("span", null);
  const runs = make("ol", null);
  current.className = "current";
  at.className = "at";
  runs.className = "runs";
  const title = make("b", name);
  title.className = "name";
  const row = make("li", null, title, current, at, runs);
  list.append(row);
  return { lights: found.lights.filter((one) => one.team === name), current, at, runs, count: -1 };
});

function show() {
  const time = Number(slider.value);
  const minutes = Math.floor(time / 60);
  shown.textContent = `${minutes}:${String(Math.floor(time % 60)).padStart(2, "0")}`;
  slider.setAttribute("aria-valuetext", `${shown.textContent} after the start`);
  for (const row of rows) {
    const until = row.lights.filter((one) => one.seconds <= time);
    if (until.length === row.count) continue;
    row.count = until.length;
    const now = until.at(-1);
    row.current.replaceChildren(light(now ? now.light : "grey"));
    row.at.textContent = now ? now.kata.split("_")[0] : "no run yet";
    if (now) {
      const score = make("span", String(now.passed), make("i", `/${now.total}`));
      score.className = "score";
      row.current.append(score);
    }
    row.runs.replaceChildren(
      ...until.slice(-SHOWN).map((one) => {
        return make("li", null, light(one.light), make("small", `${one.passed}/${one.total}`));
      }),
    );
  }
}

let timer = null;

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}

play.addEventListener("click", () => {
  if (timer) {
    stop();
    return;
  }
  if (Number(slider.value) >= end) slider.value = begin;
  play.textContent = "Stop";
  const step = Math.max(1, (end - begin) / (LENGTH * 10));
  let time = Number(slider.value);
  timer = setInterval(() => {
    time += step;
    slider.value = time;
    show();
    if (time >= end) stop();
  }, 100);
});
slider.addEventListener("input", () => {
  if (timer) stop();
  show();
});
addEventListener("keydown", (event) => {
  if (event.key === " " && !event.target.closest("button, input, a")) {
    event.preventDefault();
    play.click();
  }
});
show();
