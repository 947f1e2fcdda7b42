"use strict";
const $ = id => document.getElementById(id);
const html = document.documentElement;
const texts = JSON.parse($("texts").textContent);
const root = new URL(html.dataset.root, location.href).pathname;
const role = html.dataset.role;
const needsKey = html.dataset.auth === "key";
const keyAt = "lastseat.key " + root;
const sleep = seconds => new Promise(done => setTimeout(done, seconds * 1000));
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, "0")).join("");
const locale = navigator.language.startsWith(html.lang) ? navigator.language : html.lang;
const count = n => new Intl.NumberFormat(locale).format(n);
const date = (at, form) => new Intl.DateTimeFormat(locale, form).format(new Date(at));
const clock = at => date(at, { timeStyle: "short" });
const span = ms => {
  const s = Math.max(0, Math.ceil(ms / 1000)), two = n => String(n).padStart(2, "0");
  const days = Math.floor(s / 86400), hours = Math.floor(s / 3600) % 24, rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return days ? `${t("days", { n: days })} ${two(hours)}:${rest}` : hours ? `${hours}:${rest}` : rest;
};
// A text with its values; of one thing, the text for one if there is one.
function t(name, values = {}) {
  const text = (values.n === 1 && texts[name + "_one"]) || texts[name];
  return text.replace(/\{(\w+)\}/g, (_, value) => typeof values[value] === "number" ? count(values[value]) : values[value]);
}
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}
// Where something is kept in this browser, if it lets us.
const kept = (storage, place) => ({
  get() { try { return JSON.parse(window[storage].getItem(place)); } catch { return null; } },
  set(value) { try { window[storage].setItem(place, JSON.stringify(value)); } catch { /* goes on without */ } },
});
const apiKey = kept("sessionStorage", keyAt);

// The server's clock: each answer's Date says between which two moments of ours its second was.
let slow = -Infinity, fast = Infinity;
const now = () => Date.now() + (slow + fast > -Infinity ? (slow + fast) / 2 : 0);
function noteClock(response, asked) {
  const at = Date.parse(response.headers.get("Date"));
  if (!at) return;
  slow = Math.max(slow, at - Date.now());
  fast = Math.min(fast, at + 1000 - asked);
  if (slow > fast) [slow, fast] = [at - Date.now(), at + 1000 - asked];
}
function headers(more) {
  const key = role === "organizer" && apiKey.get();
  return { "X-Role": role, ...(key && { Authorization: "Bearer " + key }), ...more };
}
// One attempt at a request. Status 0: there was no answer.
async function attempt(method, path, body, key, accept = "application/json") {
  const asked = Date.now();
  try {
    const response = await fetch(root + path, {
      method, cache: "no-store", signal: AbortSignal.timeout(15000), body: body && JSON.stringify(body),
      headers: headers({ Accept: accept, ...(body && { "Content-Type": "application/json" }), ...(key && { "Idempotency-Key": key }) }),
    });
    noteClock(response, asked);
    const isJson = /json/.test(response.headers.get("Content-Type"));
    return { status: response.status, headers: response.headers, body: await (isJson ? response.json() : response.text()) };
  } catch {
    return { status: 0, body: {} };
  }
}
const isLost = status => status === 0 || status === 429 || status >= 500;
const pause = (answer, round) => Math.max(Number(answer.headers?.get("Retry-After")) || 0, answer.status === 429 ? 1 : Math.min(2 ** round, 15));
// As many attempts as it takes: what is asked for must be harmless to repeat.
async function insist(...request) {
  for (let round = 0; ; round++) {
    const answer = await attempt(...request);
    if (!isLost(answer.status)) return put("notice", ""), answer;
    const seconds = pause(answer, round);
    put("notice", t(answer.status === 429 ? "busy" : answer.status ? "overloaded" : "offline", { n: seconds }));
    await sleep(seconds);
  }
}
// Hands on whatever comes in a stream of server-sent events, for good. Where there is none to be
// had, what is at `path` is asked for every now and then; other refusals end it.
async function follow(path, each, refused) {
  for (let round = 0; ; round++) {
    const stop = new AbortController();
    let silence = setTimeout(() => stop.abort(), 40000);
    try {
      const asked = Date.now();
      const response = await fetch(root + path(), { headers: headers({ Accept: "text/event-stream" }), cache: "no-store", signal: stop.signal });
      noteClock(response, asked);
      const isStream = /event-stream/.test(response.headers.get("Content-Type"));
      if (!response.ok && !isLost(response.status)) return refused(response.status, await response.json());
      if (response.ok && !isStream) each(await response.json()), round = 0, put("lost", "");
      if (response.status === 503) {
        const answer = await attempt("GET", path());
        if (answer.status === 200) each(answer.body);
      }
      if (response.status === 429) await sleep(pause(response, 0));
      const reader = isStream && response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "", piece; reader && !(piece = await reader.read()).done;) {
        clearTimeout(silence);
        silence = setTimeout(() => stop.abort(), 40000);
        const blocks = (text + piece.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const data = block.split("\n").find(line => line.startsWith("data:"));
          if (data) each(JSON.parse(data.slice(5)));
        }
        round = 0;
        put("lost", "");
      }
    } catch {
      put("lost", t("lost"));
    }
    clearTimeout(silence);
    await sleep(Math.min(5 + 2 ** round, 30));
  }
}
// Shows what is under this title to whoever does not see it move.
const present = id => setTimeout(() => $(id).focus());
