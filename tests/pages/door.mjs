// The door: each ticket once, whatever the network does.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, film, look, person, serve } from "./support.mjs";

after(close);
const shows = (page, kind) => page.waitForSelector(`html[data-shows=${kind}]`);
const verdict = page => page.textContent("#verdict");
const scan = async (page, code) => {
  await page.fill("#code", code);
  await page.keyboard.press("Enter");
};
async function sold(server, event, email, spots) {
  const { json } = await server.call("POST", `/events/${event.id}/register`, { email, ...(spots && { spots }) });
  await server.call("POST", `/tickets/${json.ticket_id}/confirm`);
  return json.ticket_id;
}
/** The dark cells of a ticket's picture, its margin counted. */
async function cellsOf(server, ticket) {
  const { text, status } = await server.call("GET", `/tickets/${ticket}/qr.svg`);
  assert.equal(status, 200);
  assert(!text.includes(ticket.slice(20)));
  const path = /d="([^"]+)"/.exec(text)[1];
  return [...path.matchAll(/M(\d+) (\d+)h(\d+)v(\d+)/g)].flatMap(([, x, y, width, height]) =>
    Array.from({ length: width * height }, (_, n) => `${Number(x) + n % width},${Number(y) + Math.floor(n / width)}`));
}
/** What the picture holds, as a scanner would read it. */
const codeOf = async (server, ticket) => read(new Set(await cellsOf(server, ticket)), 25);
/** Reads a QR code of alphanumeric text, one block of data (ISO/IEC 18004). */
function read(dark, size) {
  const is = (x, y) => dark.has(`${x + 4},${y + 4}`) ? 1 : 0;
  const isOwn = (x, y) => (x < 9 && y < 9) || (x < 9 && y > size - 9) || (x > size - 9 && y < 9) || x === 6 || y === 6
    || (size > 21 && Math.abs(x - size + 7) < 3 && Math.abs(y - size + 7) < 3);
  const format = [0, 1, 2, 3, 4].reduce((bits, x) => bits << 1 | is(x, 8), 0) ^ 0b10101;
  const masks = [(x, y) => (x + y) % 2, (x, y) => y % 2, x => x % 3, (x, y) => (x + y) % 3, (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2,
    (x, y) => x * y % 2 + x * y % 3, (x, y) => (x * y % 2 + x * y % 3) % 2, (x, y) => ((x + y) % 2 + x * y % 3) % 2];
  const bits = [];
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5;
    for (let n = 0; n < size; n++) {
      for (const x of [right, right - 1]) {
        const y = up ? size - 1 - n : n;
        if (!isOwn(x, y)) bits.push(is(x, y) ^ (masks[format & 7](x, y) === 0 ? 1 : 0));
      }
    }
  }
  let at = 0;
  const take = count => bits.slice(at, at += count).reduce((value, bit) => value << 1 | bit, 0);
  const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
  let text = "", left;
  for (let mode; (mode = take(4)) !== 0 && at < bits.length;) {
    left = take({ 1: 10, 2: 9, 4: 8 }[mode]);
    assert(left, `mode ${mode}`);
    for (; left > 0;) {
      if (mode === 2 && left > 1) { const two = take(11); text += letters[Math.floor(two / 45)] + letters[two % 45]; left -= 2; }
      else if (mode === 2) text += letters[take(6)], left--;
      else if (mode === 4) text += String.fromCharCode(take(8)), left--;
      else { const digits = Math.min(left, 3); text += String(take([0, 4, 7, 10][digits])).padStart(digits, "0"); left -= digits; }
    }
  }
  return text;
}

test("with a key: in once, and what does not let in", async t => {
  const server = await serve(t, "--auth", "key");
  const [organizer, user] = [server.key("organizer"), server.key("admin")];
  const as = key => ({ Authorization: `Bearer ${key}` });
  const own = { ...server, call: (method, path, body) => server.call(method, path, body, as(/register|confirm|qr/.test(path) ? user : organizer)) };
  const event = await server.event({ name: "Concert", total_spots: 20 }, as(organizer));
  const other = await server.event({ name: "Another evening", total_spots: 20 }, as(organizer));
  const page = await person(t, server);
  await page.goto(`${server.url}/door`);
  await page.waitForSelector("#enter", { state: "visible" });
  await look(page, "door-key");
  await page.fill("#key", "lastseat_1_wrong");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#wrong:not([hidden])");
  await page.fill("#key", organizer);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#code", { state: "visible" });
  await page.selectOption("#event", String(event.id));
  await look(page, "door-ready");

  const code = await codeOf(own, await sold(own, event, "ada@example.com"));
  assert.match(code, /^1T[0-9A-F]{32}$/);
  await scan(page, code);
  await shows(page, "good");
  await look(page, "door-good");
  await scan(page, code);
  await shows(page, "bad");
  assert.match(await verdict(page), /^Already in at \d/);
  await look(page, "door-already");
  await scan(page, await codeOf(own, await sold(own, other, "bob@example.com")));
  await page.waitForFunction(() => document.querySelector("#verdict").textContent === "For another event");
  await scan(page, "1T00000000000000000000000000000000");
  await page.waitForFunction(() => document.querySelector("#verdict").textContent === "No such ticket");
  await page.waitForSelector("html:not([data-shows])");
  await look(page, "door-past");
  // Doors share an address: an organizer's key has a limit of its own.
  for (let n = 0; n < 12; n++) assert.equal((await own.call("GET", "/events")).status, 200);
});

test("a party comes in by parts", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Concert", total_spots: 20, party_max: 6 });
  if (!event.party_max) return t.skip("no parties yet");
  const code = await codeOf(server, await sold(server, event, "ada@example.com", 4));
  const page = await person(t, server);
  await page.goto(`${server.url}/door`);
  await page.waitForSelector("#code", { state: "visible" });
  await page.selectOption("#many", "1");
  await scan(page, code);
  await shows(page, "good");
  assert.equal(await page.textContent("#detail"), "Party of 4, 1 is in");
  await look(page, "door-party");
  await page.click("#rest");
  await page.waitForFunction(() => document.querySelector("#detail").textContent === "Party of 4, all are in");
  await scan(page, code);
  await shows(page, "bad");
});

test("a lost answer lets in once, and a dead network only holds it up", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Concert", total_spots: 20 });
  const codes = [];
  for (const who of ["ada", "bob"]) codes.push(await codeOf(server, await sold(server, event, `${who}@example.com`)));
  const page = await person(t, server);
  await page.goto(`${server.url}/door`);
  await page.waitForSelector("#code", { state: "visible" });
  let dead = true;
  const keys = [];
  await page.route("**/check-in", async route => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (!dead) return route.continue();
    // It arrives, and the answer does not.
    await route.fetch();
    return route.abort("connectionreset");
  });
  await scan(page, codes[0]);
  await page.waitForFunction(() => document.querySelector("#verdict").textContent === "No network");
  await scan(page, codes[1]);
  await page.waitForFunction(() => document.querySelector("#detail").textContent.startsWith("2 scans"));
  await look(page, "door-no-network");
  await page.reload();
  dead = false;
  // An attempt that was cut off by the reload may take its whole 15 s to be given up.
  await page.waitForFunction(() => document.querySelectorAll("#past .good").length === 2, null, { timeout: 40000 });
  await shows(page, "good");
  assert.equal(new Set(keys).size, 2, "one key a scan");
});

test("in German, and a scanner's keys find the field", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Konzert", total_spots: 20 });
  const code = await codeOf(server, await sold(server, event, "ada@example.com"));
  const page = await person(t, server, { locale: "de-DE" });
  await page.goto(`${server.url}/door`);
  await page.waitForSelector("#code", { state: "visible" });
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.type(code.toLowerCase());
  await page.keyboard.press("Enter");
  await shows(page, "good");
  assert.equal(await verdict(page), "Willkommen");
  await look(page, "door-good-de");
});

test("the camera: what stays in view is one scan", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Concert", total_spots: 20 });
  const pictures = [];
  for (const who of ["ada", "bob"]) pictures.push(await cellsOf(server, await sold(server, event, `${who}@example.com`)));
  // The camera's pictures: each code for two seconds, again and again.
  const page = await person(t, server, { permissions: ["camera"] }, film(t, pictures, 10));
  let seen = 0;
  await page.exposeFunction("readCells", cells => {
    seen++;
    try { return read(new Set(cells), 25); } catch { return ""; }
  });
  // Where the browser brings no detector: it looks where the codes are, in what the camera really sent.
  await page.addInitScript(() => {
    window.BarcodeDetector = class {
      async detect(video) {
        const context = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext("2d");
        context.drawImage(video, 0, 0);
        const { data, width } = context.getImageData(0, 0, video.videoWidth, video.videoHeight), cells = [];
        for (let y = 0; y < 33; y++) for (let x = 0; x < 33; x++) if (data[4 * ((y * 7 + 3) * width + x * 7 + 3)] < 128) cells.push(`${x},${y}`);
        const rawValue = await window.readCells(cells);
        return rawValue ? [{ rawValue }] : [];
      }
    };
  });
  let asked = 0;
  page.on("request", request => { if (/check-in$/.test(request.url())) asked++; });
  await page.goto(`${server.url}/door`);
  await page.click("#film");
  await page.waitForFunction(() => document.querySelectorAll("#past .good").length === 2);
  await shows(page, "good");
  await shows(page, "bad");
  assert.match(await verdict(page), /^Already in at \d/);
  assert(asked <= 4 && seen > 2 * asked, `${asked} scans of ${seen} pictures`);
  await look(page, "door-camera");
});

test("a camera that is not to be had is said to be", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const page = await person(t, server);
  await page.addInitScript(() => { window.BarcodeDetector = class {}; });
  await page.goto(`${server.url}/door`);
  await page.click("#film");
  await page.waitForFunction(() => document.querySelector("#notice").textContent === "The camera cannot be used.");
});
