// A real server, a real browser, and what must hold of every page in it.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 900 } };

/** Starts a server of its own; stops it at the end of the test. */
export async function serve(test, ...flags) {
  const folder = mkdtempSync(join(tmpdir(), "pages-"));
  const db = join(folder, "events.db");
  const child = spawn(process.env.SERVER, ["serve", "--listen", "127.0.0.1:0", "--db", db, "--log-level", "error", ...flags],
    { stdio: ["ignore", "pipe", "inherit"] });
  test.after(() => { child.kill(); rmSync(folder, { recursive: true, force: true }); });
  const line = await new Promise(found => child.stdout.once("data", text => found(String(text))));
  const url = /http:\S+/.exec(line)[0];
  const server = {
    url,
    key: role => execFileSync(process.env.SERVER, ["key", "add", "--db", db, "--role", role, "--name", role], { encoding: "utf8" }).match(/lastseat_\S+/)[0],
    verify: () => execFileSync(process.env.SERVER, ["verify", db], { encoding: "utf8" }),
    /** From an address of its own, so that it does not use up the browser's requests. */
    call: (method, path, body, more = {}) => new Promise((done, failed) => {
      const headers = { "X-Role": "admin", "Content-Type": "application/json", ...more };
      const asked = request(url + path, { method, headers, localAddress: "127.0.0.2" }, async response => {
        let text = "";
        for await (const piece of response) text += piece;
        const isJson = /json/.test(response.headers["content-type"]);
        done({ status: response.statusCode, text, json: isJson ? JSON.parse(text) : {} });
      });
      asked.on("error", failed);
      asked.end(body && JSON.stringify(body));
    }),
    /** Creates an event with as many of these members as this server knows. */
    async event(members, headers) {
      for (;;) {
        const { status, json } = await server.call("POST", "/events", members, headers);
        if (status === 201) return json;
        const unknown = /unknown field `(\w+)`/.exec(json.detail)?.[1];
        assert(unknown in members, JSON.stringify(json));
        delete members[unknown];
      }
    },
  };
  return server;
}

const start = args => chromium.launch({ executablePath: process.env.BROWSER, args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", ...args] });
let browser;
/** A browser of somebody's own, with nothing in its storage; with a camera, if there is a film for it. */
export async function person(test, server, options = {}, film = null) {
  browser ??= await start([]);
  const own = film && await start(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${film}`]);
  const context = await (own ?? browser).newContext({ viewport: SIZES.phone, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  const wrong = [];
  page.on("pageerror", error => wrong.push(`error: ${error.stack}`));
  page.on("console", message => {
    // A refusal is an answer; the browser notes it all the same.
    const isAnswer = /Failed to load resource/.test(message.text()) || /net::ERR_/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !isAnswer) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", request => {
    const isOwn = ["blob:", "data:", `${server.url}/`].some(start => request.url().startsWith(start));
    if (!isOwn) wrong.push(`request to ${request.url()}`);
  });
  test.after(async () => {
    await context.close();
    await own?.close();
    assert.deepEqual(wrong, []);
  });
  return page;
}
process.on("exit", () => browser?.close());
export const close = async () => { await browser?.close(); browser = undefined; };

/** A film of codes, each given as its dark cells and seen for so many pictures, five a second (YUV4MPEG2). */
export function film(test, codes, pictures) {
  const folder = mkdtempSync(join(tmpdir(), "pages-")), [width, height, cell] = [320, 240, 7];
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  const frames = codes.flatMap(cells => {
    const frame = Buffer.alloc(width * height * 3 / 2, 128).fill(235, 0, width * height);
    for (const [x, y] of cells.map(at => at.split(",").map(Number))) {
      for (let row = y * cell; row < (y + 1) * cell; row++) frame.fill(16, row * width + x * cell, row * width + (x + 1) * cell);
    }
    return new Array(pictures).fill([Buffer.from("FRAME\n"), frame]).flat();
  });
  const file = join(folder, "film.y4m");
  writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F5:1 Ip A1:1 C420jpeg\n`), ...frames]));
  return file;
}

/** Keeps a picture of the page in each size and light, and has axe judge it in both. */
export async function look(page, name) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      // A dialog stands in the middle of what is seen.
      const fullPage = !await page.$("dialog[open]");
      await page.screenshot({ path: `${process.env.PICTURES}/${name}-${size}-${colorScheme}.png`, fullPage });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      const found = violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(node => node.html.slice(0, 120)).join(" | ")}`);
      assert.deepEqual(found, [], `${name}, ${size}, ${colorScheme}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert(overflow <= 0, `${name}, ${size}: ${overflow} px too wide`);
    }
  }
  await page.setViewportSize(SIZES.phone);
  await page.emulateMedia({ colorScheme: "light" });
}

export const inTime = ms => new Date(Date.now() + ms).toISOString();
