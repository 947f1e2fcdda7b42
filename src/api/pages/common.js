"use strict";
const $ = id => document.getElementById(id);
const html = document.documentElement;
const texts = JSON.parse($("texts").textContent);
const root = new URL(html.dataset.root, location.href).pathname;
const role = html.dataset.role;
const needsKey = html.dataset.auth === "key";
const sleep = seconds => new Promise(done => setTimeout(done, seconds * 1000));
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, "0")).join("");
const locale = navigator.language.startsWith(html.lang) ? navigator.language : html.lang;
const count = (n, form) => new Intl.NumberFormat(locale, form).format(n);
const date = (at, timeStyle, dateStyle) => new Intl.DateTimeFormat(locale, { timeStyle, dateStyle }).format(new Date(at));
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
const apiKey = kept("sessionStorage", "lastseat.key " + root);

// The server's clock: each answer's Date says between which two moments of ours its second was.
let slow = -Infinity, fast = Infinity;
const now = () => Date.now() + (fast < Infinity ? (slow + fast) / 2 : 0);
async function send(path, headers, options) {
  const asked = Date.now(), key = role === "organizer" && apiKey.get();
  const response = await fetch(root + path, { cache: "no-store", headers: { "X-Role": role, ...(key && { Authorization: "Bearer " + key }), ...headers }, ...options });
  const at = Date.parse(response.headers.get("Date")), least = at - Date.now(), most = at + 1000 - asked;
  if (at) [slow, fast] = least > fast || most < slow ? [least, most] : [Math.max(slow, least), Math.min(fast, most)];
  return response;
}
// One attempt at a request. Status 0: there was no answer.
async function attempt(method, path, body, key, accept = "application/json") {
  try {
    const headers = { Accept: accept, ...(body && { "Content-Type": "application/json" }), ...(key && { "Idempotency-Key": key }) };
    const response = await send(path, headers, { method, signal: AbortSignal.timeout(15000), body: body && JSON.stringify(body) });
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
