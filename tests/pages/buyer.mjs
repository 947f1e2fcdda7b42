// The buyer's page: a whole sale, and everything that goes wrong on a telephone.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, inTime, look, person, serve } from "./support.mjs";

after(close);
const visible = { state: "visible" };
const at = (page, id) => page.waitForSelector(`#${id}`, visible);
const buy = async (page, email) => {
  await page.fill("#email", email);
  await page.click("#buy:enabled");
};

test("one buyer needs five requests for a whole sale", async t => {
  const server = await serve(t);
  const event = await server.event({ name: "Summer concert in the old harbour", total_spots: 40, starts_at: "2026-12-24T18:30:00Z" });
  const page = await person(t, server);
  const asked = [];
  page.on("request", request => asked.push(`${request.method()} ${request.url()}`));
  const began = Date.now();
  await page.goto(`${server.url}/events/${event.id}`);
  await buy(page, "ada@example.com");
  await page.click("#confirm");
  await page.waitForSelector("#qr svg");
  assert(asked.length <= 5 || Date.now() - began > 8000, asked.join("\n"));
  assert.match(page.url(), /\/events\/1#[0-9a-f-]{36}$/);
  assert.equal(await page.textContent("#notice"), "");
});

test("what a buyer sees on the way", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Summer concert in the old harbour", total_spots: 40, starts_at: "2026-12-24T18:30:00Z", party_max: 6 });
  const page = await person(t, server);
  await page.goto(`${server.url}/events/${event.id}`);
  await page.waitForSelector("#buy:enabled");
  assert.equal(await page.textContent("h1"), event.name);
  await look(page, "buyer-open");
  if (event.party_max) await page.selectOption("#spots", "4");
  await buy(page, "ada@example.com");
  await at(page, "hold");
  await look(page, "buyer-hold");
  await page.click("#confirm");
  await page.waitForSelector("#qr svg");
  await look(page, "buyer-ticket");
});

test("two buyers want one spot: one has it, and the other gets it when it comes back", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "One seat", total_spots: 1, waiting_max: 0 });
  const [ada, bob] = [await person(t, server), await person(t, server)];
  for (const page of [ada, bob]) {
    await page.goto(`${server.url}/events/${event.id}`);
    await page.waitForSelector("#buy:enabled");
    await page.fill("#email", page === ada ? "ada@example.com" : "bob@example.com");
  }
  // Whoever is late may find the button asleep already.
  await Promise.all([ada, bob].map(page => page.evaluate(() => document.querySelector("#buy").click())));
  const first = await Promise.race([at(ada, "hold").then(() => ada), at(bob, "hold").then(() => bob)]);
  const second = first === ada ? bob : ada;
  await second.waitForSelector("#buy:disabled");
  await second.waitForFunction(() => document.querySelector("#sale_title").textContent.startsWith("Sold out"));
  await look(second, "buyer-sold-out");
  // In the middle of it.
  await first.reload();
  await at(first, "hold");
  await first.click("#confirm");
  await first.waitForSelector("#qr svg");
  await first.click("#cancel");
  await look(first, "buyer-cancel");
  await first.click("#yes");
  await at(first, "over");
  await look(first, "buyer-given-back");
  await second.waitForSelector("#buy:enabled", { timeout: 30000 });
  await second.click("#buy");
  await at(second, "hold");
  assert.match(server.verify(), /ok|sound/i);
});

test("a double click, a reload and a lost answer sell one ticket", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Walk", total_spots: 5 });
  const page = await person(t, server);
  await page.goto(`${server.url}/events/${event.id}`);
  await page.waitForSelector("#buy:enabled");
  const keys = [];
  let lost = 2;
  await page.route("**/register", async route => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (lost-- > 0) {
      await route.fetch();
      return route.abort("connectionreset");
    }
    return route.continue();
  });
  await page.fill("#email", "ada@example.com");
  await page.dblclick("#buy");
  await page.waitForFunction(() => document.querySelector("#notice").textContent !== "");
  await look(page, "buyer-no-connection");
  // While nobody knows what became of it.
  await page.reload();
  await at(page, "hold");
  assert(keys.length >= 2, keys.join());
  assert.equal(new Set(keys).size, 1);
  const { json } = await server.call("GET", `/events/${event.id}/tickets`);
  assert.equal(json.length, 1);
});

test("a countdown by the server's clock opens the sale", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Opening night", total_spots: 300, sales_open_at: inTime(2 * 86400000) });
  // Their own clock is an hour late.
  const page = await person(t, server);
  await page.addInitScript(() => { const own = Date.now; Date.now = () => own() - 3600000; });
  await page.goto(`${server.url}/events/${event.id}`);
  await page.waitForSelector("#opens:not([hidden])");
  assert.match(await page.textContent("#opens"), /^1 day 23:59:5|^2 days 0:00:0/);
  await look(page, "buyer-countdown");
  await server.call("PATCH", `/events/${event.id}`, { sales_open_at: inTime(3000) });
  await page.reload();
  await page.fill("#email", "ada@example.com");
  await page.waitForSelector("#buy:enabled");
  await page.click("#buy");
  await at(page, "hold");
});

test("a hold that is not confirmed is gone, and so is a cancelled event", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Quick", total_spots: 5, hold_seconds: 10 });
  const page = await person(t, server);
  await page.goto(`${server.url}/events/${event.id}`);
  await page.waitForSelector("#buy:enabled");
  await buy(page, "not an address");
  await page.waitForSelector("#refusal:not([hidden])");
  await buy(page, "ada@example.com");
  await at(page, "hold");
  await at(page, "over");
  await look(page, "buyer-expired");
  await page.click("#again");
  await page.waitForSelector("#buy:enabled");
  await server.call("POST", `/events/${event.id}/cancel`);
  await page.waitForFunction(() => document.querySelector("#sale_title").textContent.includes("cancelled"), null, { timeout: 30000 });
  await look(page, "buyer-cancelled");
});

test("the line: joined, live, offered", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Full house", total_spots: 1, waiting_max: 100, starts_at: inTime(86400000) });
  if (!(event.waiting_max > 0)) return t.skip("no line yet");
  const sold = await server.call("POST", `/events/${event.id}/register`, { email: "first@example.com" });
  const before = await server.call("POST", `/events/${event.id}/register`, { email: "before@example.com", wait: true });
  assert.equal(before.status, 202);
  const page = await person(t, server);
  await page.goto(`${server.url}/events/${event.id}`);
  await page.waitForFunction(() => document.querySelector("#buy").textContent.includes("Join"));
  await look(page, "buyer-queue");
  await buy(page, "ada@example.com");
  await at(page, "line");
  assert.equal(await page.textContent("#ahead"), "1");
  await look(page, "buyer-line");
  await server.call("POST", `/tickets/${before.json.ticket_id}/cancel`);
  await page.waitForFunction(() => document.querySelector("#ahead").textContent === "0", null, { timeout: 30000 });
  await server.call("POST", `/tickets/${sold.json.ticket_id}/cancel`);
  await page.waitForSelector("#hold", { state: "visible", timeout: 30000 });
  await page.click("#confirm");
  await page.waitForSelector("#qr svg");
});

test("a payment link of the event, and the page notices that it was paid", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Paid", total_spots: 5, payment_url: "https://pay.example/?for={ticket_id}" });
  if (!event.payment_url) return t.skip("no payment link yet");
  const page = await person(t, server);
  await page.goto(`${server.url}/events/${event.id}`);
  await page.waitForSelector("#buy:enabled");
  await buy(page, "ada@example.com");
  await at(page, "pay");
  const id = page.url().split("#")[1];
  assert.equal(await page.getAttribute("#pay", "href"), `https://pay.example/?for=${id}`);
  await look(page, "buyer-pay");
  await server.call("POST", `/tickets/${id}/confirm`);
  await page.waitForSelector("#qr svg");
});

test("in German, and by keyboard alone", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const event = await server.event({ name: "Lange Nacht der Museen", total_spots: 120, starts_at: "2026-12-24T18:30:00Z", party_max: 4 });
  const page = await person(t, server, { locale: "de-AT" });
  await page.goto(`${server.url}/events/${event.id}`);
  await page.waitForSelector("#buy:enabled");
  assert.equal(await page.getAttribute("html", "lang"), "de");
  await look(page, "buyer-open-de");
  await page.focus("#email");
  await page.keyboard.type("ada@example.com");
  await page.keyboard.press("Enter");
  await at(page, "hold");
  await page.waitForFunction(() => document.activeElement.id === "hold_title");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#qr svg");
  await look(page, "buyer-ticket-de");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#calendar")]);
  assert.equal(download.suggestedFilename(), "event-1.ics");
});

test("where there is no event, and without a script", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const page = await person(t, server);
  await page.goto(`${server.url}/events/7`);
  await page.waitForFunction(() => document.querySelector("h1").textContent.includes("no such event"));
  await look(page, "buyer-no-event");
});
