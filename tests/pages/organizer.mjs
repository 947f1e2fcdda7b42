// The organizer's page: made, watched, changed, called off.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, look, person, serve } from "./support.mjs";

after(close);

test("an event's whole life", async t => {
  const server = await serve(t, "--rate-limit", "off");
  const page = await person(t, server);
  await page.goto(`${server.url}/organizer`);
  await page.waitForSelector("#none", { state: "visible" });
  await look(page, "organizer-empty");
  await page.fill("#create_name", "Late show: it's \"on\"");
  await page.fill("#create_total_spots", "60");
  assert.match(await page.textContent("#create pre"), /curl -H 'X-Role: organizer' -d '\{"name":"Late show: it'\\''s .*"total_spots":60\}' http:\S+\/events$/);
  await page.click("#create button");
  await page.waitForSelector("#one", { state: "visible" });
  for (let n = 0; n < 24; n++) {
    const { json } = await server.call("POST", "/events/1/register", { email: `buyer-${n}@example.com` });
    if (n % 3) await server.call("POST", `/tickets/${json.ticket_id}/confirm`);
  }
  await page.waitForFunction(() => document.querySelector("#free").textContent === "36", null, { timeout: 40000 });
  await page.waitForFunction(() => document.querySelector("#sold").textContent === "16" && document.querySelector("#held").textContent === "8", null, { timeout: 40000 });
  // Also of what came while the last one was made.
  await page.waitForFunction(() => document.querySelector("#proof").textContent.startsWith("Sound: 41 changes and 24 tickets"), null, { timeout: 40000 });
  const hasFeed = (await server.call("GET", "/events/1/changes")).status === 200;
  if (hasFeed) await page.waitForFunction(() => document.querySelectorAll("#changes tr").length === 20);
  await look(page, "organizer-event");
  await page.fill("#change_total_spots", "70");
  await page.click("#change button");
  await page.waitForFunction(() => document.querySelector("#free").textContent === "46");
  await page.fill("#change_total_spots", "3");
  await page.click("#change button");
  await page.waitForFunction(() => document.querySelector("#change [role=alert]").textContent !== "");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#csv")]);
  assert.equal(download.suggestedFilename(), "event-1-tickets.csv");
  await page.click("#cancel");
  await look(page, "organizer-cancel");
  await page.click("#yes");
  await page.waitForFunction(() => document.querySelector("#state").textContent.startsWith("Cancelled"));
  await page.goto(`${server.url}/organizer`);
  await page.waitForSelector("#events li");
});

test("with a key, in German, with several events", async t => {
  const server = await serve(t, "--auth", "key");
  const key = server.key("organizer"), as = { Authorization: `Bearer ${key}` };
  await server.event({ name: "Sommerfest", total_spots: 120, starts_at: "2027-07-01T16:00:00Z" }, as);
  await server.event({ name: "Lesung im Gewölbekeller mit anschließendem Gespräch", total_spots: 30 }, as);
  const page = await person(t, server, { locale: "de-DE" });
  await page.goto(`${server.url}/organizer`);
  await page.waitForSelector("#enter", { state: "visible" });
  await page.fill("#key", "no key");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#wrong:not([hidden])");
  await page.fill("#key", key);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#events li").length === 2);
  await look(page, "organizer-list-de");
  assert(!(await page.content()).includes(key));
  await page.click("#events a");
  await page.waitForSelector("#one", { state: "visible" });
  await page.waitForSelector("#proof.good");
  await look(page, "organizer-event-de");
  await page.reload();
  await page.waitForSelector("#one", { state: "visible" });
});
