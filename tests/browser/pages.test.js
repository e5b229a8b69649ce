// The reader's pages in Chromium: how they look, who can use them, and what happens while they are open.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { chromium, optIn, picture } from "./support/browsers.js";
import { Khabar, until } from "./support/khabar.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const EDITIONS = ["ar-IQ", "ckb-IQ", "en"];
const SCREENS = { desk: { width: 1280, height: 900 }, phone: { width: 360, height: 740, isMobile: true, hasTouch: true } };

let khabar, browser, page;
before(async () => {
  khabar = await Khabar.start();
  browser = await chromium();
});
after(async () => {
  await browser?.close();
  await khabar?.end();
});

// Pictures of the demo are nowhere: this stands in for them.
const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9" fill="#8fa7b5"/><circle cx="12" cy="3" r="1.4" fill="#f3dfa2"/><path d="M0 9 5 4l4 4 2-2 5 3z" fill="#3f5a52"/></svg>`;

// With a list in `held`, streams that the page opens wait in it until they are continued.
const open = async (path, { script = true, pictures = false, held } = {}) => {
  await page?.close();
  page = await browser.newPage();
  await page.setJavaScriptEnabled(script);
  if (pictures || held) {
    await page.setRequestInterception(true);
    page.on("request", (request) => {
      const isOurs = request.url().startsWith(khabar.url);
      if (held && request.url().includes("/graphql/stream")) held.push(request);
      else if (isOurs || !pictures) request.continue();
      else request.respond({ contentType: "image/svg+xml", body: PICTURE });
    });
  }
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (line) => {
    // The demo's pictures are nowhere.
    const ours = line.type() === "error" && !line.text().includes("ERR_NAME_NOT_RESOLVED");
    if (ours) page.faults.push(line.text());
  });
  const response = await page.goto(khabar.url + path, { waitUntil: "load" });
  return response;
};
const text = (selector) => page.$eval(selector, (element) => element.textContent.trim());
const discussed = async (locale) => {
  const { nodes } = await khabar.operation("FrontPage", { locale });
  const story = nodes.find(({ commentCount }) => commentCount > 0) ?? nodes[0];
  return `/${locale}/${encodeURIComponent(story.slug)}`;
};

// What axe-core finds. The page's policy lets no script in but its own: axe comes by the debugger.
const axe = async () => {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ").slice(0, 400)}`);
};

for (const locale of EDITIONS) {
  for (const scheme of ["light", "dark"]) {
    for (const [screen, viewport] of Object.entries(SCREENS)) {
      test(`axe finds nothing on the pages of ${locale}, ${scheme}, ${screen}`, async () => {
        for (const [name, path] of [["front", `/${locale}`], ["article", await discussed(locale)]]) {
          await open(path, { pictures: true });
          await page.setViewport(viewport);
          await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
          await optIn(page).click("summary");
          await optIn(page).shown("fieldset label");
          assert.deepEqual(await axe(), [], name);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(wide <= 0, `${name} is ${wide} px wider than the screen`);
          await optIn(page).click("summary");
          await picture(page, `${name}-${locale}-${scheme}-${screen}`, { fullPage: true });
          assert.deepEqual(page.faults, []);
        }
      });
    }
  }
}

test("pictures that cannot be had leave no hole", async () => {
  const { nodes } = await khabar.operation("FrontPage", { locale: "ar-IQ" });
  assert.ok(nodes[0].image, "the first story of the demo has a picture");
  await open(`/ar-IQ/${encodeURIComponent(nodes[0].slug)}`);
  await until("the picture to go", async () => !(await page.$("figure")));
  await open("/ar-IQ");
  // They are asked for once they come into view.
  await until("the pictures to go", () =>
    page.$$eval(".stories img", (pictures) => (pictures[0]?.scrollIntoView(), !pictures.length)));
});

test("axe finds nothing on a refused comment and on a page that does not exist", async () => {
  const path = await discussed("ar-IQ");
  await open(path);
  await page.$eval("#reply", (form) => (form.noValidate = true));
  await Promise.all([page.waitForNavigation(), page.click("#reply button")]);
  assert.deepEqual(await axe(), []);
  await picture(page, "refused-comment", { fullPage: true });
  assert.equal((await open("/ar-IQ/لا-شيء")).status(), 404);
  assert.deepEqual(await axe(), []);
  await picture(page, "not-found");
});

test("everything can be reached by the keyboard, beginning with the way to the content", async () => {
  await open(await discussed("ar-IQ"));
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.hash), "#main");
  const outlines = new Set();
  for (let step = 0; step < 60; step++) {
    await page.keyboard.press("Tab");
    outlines.add(await page.evaluate(() => {
      const root = document.activeElement.shadowRoot ?? document;
      const { outlineStyle } = getComputedStyle(root.activeElement ?? document.body);
      return `${root.activeElement?.tagName}:${outlineStyle !== "none"}`;
    }));
    if (outlines.has("TEXTAREA:true")) break;
  }
  for (const part of ["A:true", "INPUT:true", "BUTTON:true", "TEXTAREA:true"]) {
    assert.ok(outlines.has(part), `${part} of ${[...outlines]}`);
  }
});

test("without a script a guest replies, is told what is wrong, and keeps what was typed", async () => {
  const { article } = await khabar.publish("بلا جافاسكربت");
  const path = `/ar-IQ/${encodeURIComponent(article.slug)}`;
  await open(path, { script: false });
  assert.equal(await text("#no-comments"), "لا توجد تعليقات حتى الآن");
  assert.equal(await text("#reply h2"), "الرد كضيف");
  const send = () => Promise.all([page.waitForNavigation(), page.click("#reply button")]);

  await page.type("#name", "س".repeat(61));
  await page.type("#text", "تعليق <b>أول</b>");
  const [refused] = await send();
  assert.equal(refused.status(), 422);
  assert.match(await text("#name-fault"), /60/);
  assert.equal(await page.$eval("#text", (box) => box.value), "تعليق <b>أول</b>");

  await page.$eval("#name", (box) => (box.value = ""));
  await page.type("#name", "ليلى");
  await send();
  assert.equal(new URL(page.url()).pathname, new URL(khabar.url + path).pathname);
  assert.match(await text("#outcome"), /نُشر تعليقك/);
  assert.equal(await text("#comments .comment .text"), "تعليق <b>أول</b>");
  assert.equal(await text("#count"), "1");

  await Promise.all([page.waitForNavigation(), page.click("#comments .reply")]);
  await page.type("#name", "نور");
  await page.type("#text", "رد عليها");
  await send();
  assert.equal(await text("#comments .thread .text"), "رد عليها");

  await page.type("#name", "بائع");
  await page.type("#text", "http://a.example http://b.example http://c.example");
  await send();
  assert.match(await text("#outcome"), /يراجعه المشرفون/);
  assert.equal(await text("#count"), "2");
});

test("comments and stories appear while a page is open, and after the server was away", async () => {
  const { article } = await khabar.publish("خبر مفتوح");
  await open(`/ar-IQ/${encodeURIComponent(article.slug)}`);
  // The streams begin a moment after the page.
  await new Promise((done) => setTimeout(done, 1500));
  const { comment } = await khabar.comment(article.id, "<img src=x onerror=alert(1)> مرحبا");
  const item = await page.waitForSelector(`#item-${comment.id}`, { timeout: 15_000 });
  assert.equal(await item.$eval(".text", (part) => part.textContent), "<img src=x onerror=alert(1)> مرحبا");
  assert.equal(await page.$("#no-comments"), null);
  const reply = await khabar.comment(article.id, "رد", { parent: comment.id });
  await page.waitForSelector(`#replies-${comment.id} #item-${reply.comment.id}`, { timeout: 15_000 });
  assert.equal(await text("#count"), "2");
  await picture(page, "live-comments", { fullPage: true });
  await Promise.all([page.waitForNavigation(), item.$eval(".reply", (link) => link.click())]);
  assert.equal(await page.$eval("[name=parent]", (box) => box.value), comment.id);

  await open("/ar-IQ");
  await new Promise((done) => setTimeout(done, 1500));
  const first = await khabar.publish("خبر وصل الآن", { breaking: true });
  const link = await page.waitForSelector(`#item-${first.article.id} .headline a`, { timeout: 15_000 });
  await khabar.stop();
  await khabar.run();
  const second = await khabar.publish("خبر بعد الانقطاع");
  await page.waitForSelector(`#item-${second.article.id}`, { timeout: 30_000 });
  await picture(page, "live-stories");
  await Promise.all([page.waitForNavigation(), link.click()]);
  assert.equal(await text("h1"), "خبر وصل الآن");
  assert.deepEqual(page.faults.filter((fault) => !/ERR_CONNECTION|net::ERR|50\d/.test(fault)), []);
});

test("what comes between a page and its streams is not missed, and counted once", async () => {
  const { article } = await khabar.publish("خبر بين الصفحة والبث");
  const path = `/ar-IQ/${encodeURIComponent(article.slug)}`;
  const before = await khabar.comment(article.id, "كان هنا قبل الصفحة");
  for (const [address, streams] of [[path, 2], ["/ar-IQ", 1], ["/ar-IQ?category=بغداد", 1]]) {
    const held = [];
    await open(address, { held });
    await until("the streams to be asked for", () => held.length === streams);
    const story = await khabar.publish(`خبر قبل البث ${address}`);
    const comment = address === path && (await khabar.comment(article.id, "تعليق قبل البث"));
    // Other events of the site must not stand in the way.
    await khabar.comment(story.article.id, "تعليق في مكان آخر");
    assert.equal(await page.$(`#item-${story.article.id}`), null);
    for (const stream of held) stream.continue();
    await page.waitForSelector(`#item-${story.article.id}`, { timeout: 15_000 });
    if (!comment) continue;
    await page.waitForSelector(`#item-${comment.comment.id}`, { timeout: 15_000 });
    assert.equal((await page.$$(`[id="item-${before.comment.id}"]`)).length, 1);
    assert.equal(await text("#count"), "2");
  }
  assert.deepEqual(page.faults, []);
});

test("a page that was hidden catches up with what it missed", async () => {
  const { article } = await khabar.publish("خبر في لسان مخفي");
  await open(`/ar-IQ/${encodeURIComponent(article.slug)}`);
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  const { comment } = await khabar.comment(article.id, "كتب وأنت غائب");
  await new Promise((done) => setTimeout(done, 6000));
  assert.equal(await page.$(`#item-${comment.id}`), null);
  await hide(false);
  await page.waitForSelector(`#item-${comment.id}`, { timeout: 15_000 });
  assert.equal(await text("#count"), "1");
  const later = await khabar.comment(article.id, "ثم عدت");
  await page.waitForSelector(`#item-${later.comment.id}`, { timeout: 15_000 });
  await until("the count", async () => (await text("#count")) === "2");
});
