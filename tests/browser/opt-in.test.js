// The opt-in in Chromium: the question, its twins, and what it says when nobody answers. Chromium
// cannot subscribe without a network, so messages are delivered by the debugger.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium, optIn, picture } from "./support/browsers.js";
import { Khabar, until } from "./support/khabar.js";
import { otherSite } from "./support/other-site.js";

let khabar, browser, page;
before(async () => {
  khabar = await Khabar.start();
  browser = await chromium();
  page = await browser.newPage();
  // Counts how often the page has the browser ask.
  await page.evaluateOnNewDocument(() => {
    globalThis.asked = 0;
    const ask = Notification.requestPermission.bind(Notification);
    Notification.requestPermission = () => (globalThis.asked++, ask());
  });
});
after(async () => {
  await browser?.close();
  await khabar?.end();
});

const settle = () => new Promise((done) => setTimeout(done, 1000));

for (const [locale, question, reason, dir] of [
  ["ar-IQ", "هل ترغب في تلقي إشعارات؟", "ابق على اطلاع بآخر أخبارنا وأحداثنا.", "rtl"],
  ["ckb-IQ", "دەتەوێت ئاگادارکردنەوەت بۆ بێت؟", "ئاگاداری نوێترین هەواڵ و ڕووداوەکانمان بە.", "rtl"],
  ["en", "Would you like to receive notifications?", "Stay up to date with our latest news and events.", "ltr"],
]) {
  test(`the question of ${locale} comes softly: the browser asks nothing by itself`, async () => {
    await page.goto(`${khabar.url}/${locale}`);
    const { text } = optIn(page);
    await optIn(page).shown("button");
    const said = await text();
    assert.ok(said.includes(question) && said.includes(reason), said);
    const shown = await page.$eval("khabar-alerts", ({ shadowRoot }) => {
      const section = shadowRoot.querySelector("section");
      return [section.lang, getComputedStyle(section).direction];
    });
    assert.deepEqual(shown, [locale.split("-")[0], dir]);
    await settle();
    assert.equal(await page.evaluate(() => globalThis.asked), 0);
    assert.deepEqual(await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length), 0);
  });
}

test("topics are the newsroom's own, in the edition's words", async () => {
  await page.goto(`${khabar.url}/ar-IQ`);
  await optIn(page).click("summary");
  const labels = async () =>
    page.$eval("khabar-alerts", ({ shadowRoot }) =>
      [...shadowRoot.querySelectorAll("fieldset label")].map((label) => label.textContent.trim()));
  await until("the topics", async () => (await labels()).length);
  const found = await labels();
  assert.ok(found.includes("العالم") && found.includes("العراق") && found.includes("رياضة"), String(found));
});

test("a reader whose browser refuses is told what to do", async () => {
  // Headless Chromium answers its own question with no, unless told otherwise.
  await page.goto(`${khabar.url}/ar-IQ`);
  await optIn(page).click("[name=yes]");
  await until("the refusal", async () => (await optIn(page).status()).includes("اسمح بها في إعداداته"));
  assert.equal(await page.evaluate(() => globalThis.asked), 1);
});

test("a push service that never answers is not waited for", async () => {
  await browser.defaultBrowserContext().overridePermissions(khabar.url, ["notifications"]);
  await page.goto(`${khabar.url}/ar-IQ`);
  const began = Date.now();
  await optIn(page).click("[name=yes]");
  await until("the message", async () => (await optIn(page).status()).includes("تحقق من اتصالك"), 40);
  const waited = (Date.now() - began) / 1000;
  assert.ok(waited > 10 && waited < 30, `${waited} s`);
  await picture(page, "silent-push-service");
});

// A message as the newsroom would send it, into the worker that the test above has left.
const deliver = async (data, origin = khabar.url) => {
  const session = await page.createCDPSession();
  const known = new Promise((done) =>
    session.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
      const ours = registrations.find(({ isDeleted, scopeURL }) => !isDeleted && scopeURL.startsWith(origin));
      if (ours) done(ours.registrationId);
    }));
  await session.send("ServiceWorker.enable");
  const registrationId = await known;
  await session.send("ServiceWorker.deliverPushMessage", { origin, registrationId, data });
  await session.detach();
};
const shown = () =>
  page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    const all = await (await navigator.serviceWorker.ready).getNotifications();
    return all.map(({ title, body, lang, dir, tag, data, actions, timestamp }) => ({ title, body, lang, dir, tag, data, actions, timestamp, state: active.state }));
  });
// The notification that is waited for. Chromium forgets one that is asked for in the instant in which
// it is put up: so each look comes well after the message, and they are few.
const arrived = async (isIt) => {
  for (let second = 0; second < 20; second += 1) {
    await new Promise((done) => setTimeout(done, 1000));
    const found = (await shown()).find(isIt);
    if (found) return found;
  }
  assert.fail("waited 20 s for the notification");
};
const clear = () =>
  page.evaluate(async () => {
    for (const one of await (await navigator.serviceWorker.ready).getNotifications()) one.close();
  });

const MESSAGE = {
  web_push: 8030,
  notification: {
    title: "عاجل: افتتاح الجسر",
    body: "بعد عامين من العمل",
    lang: "ar-IQ",
    dir: "rtl",
    tag: "story-1",
    navigate: "https://news.example/alerts/1/ar-IQ",
    image: "https://news.example/a.jpg",
    actions: [{ action: "opt-out", title: "إيقاف الإشعارات", navigate: "https://news.example/alerts/opt-out/x" }],
  },
};

test("a message is shown as it says, and once however often it comes", async () => {
  await deliver(JSON.stringify(MESSAGE));
  await deliver(JSON.stringify(MESSAGE));
  await arrived(() => true);
  const all = await shown();
  assert.equal(all.length, 1);
  const { title, body, lang, dir, tag, actions } = MESSAGE.notification;
  const { title: t, body: b, lang: l, dir: d, tag: g, actions: a } = all[0];
  assert.deepEqual([t, b, l, d, g], [title, body, lang, dir, tag]);
  assert.deepEqual(a.map(({ action, title }) => ({ action, title })), [{ action: actions[0].action, title: actions[0].title }]);
  await clear();
});

for (const [name, data] of [["nothing", ""], ["no JSON", "x"], ["null", "null"], ["no title", `{"notification":{}}`], ["a bad field", `{"notification":{"title":"x","dir":"sideways"}}`]]) {
  test(`a message of ${name} shows something all the same`, async () => {
    // Each takes the place of the one before. None is closed in between: Chromium finishes closing
    // later than it says, and would take the next one of the same tag with it.
    const before = Date.now();
    await deliver(data);
    const isNew = ({ tag, timestamp }) => tag === "khabar" && timestamp >= before;
    const { title, data: kept } = await arrived(isNew);
    assert.ok(title.length > 3, title);
    assert.equal(kept.khabar.navigate, `${khabar.url}/`);
  });
}

test("a click leads to the story, a button to where it says, and other people's notifications nowhere", async () => {
  const target = await browser.waitForTarget((target) => target.type() === "service_worker");
  const worker = await target.worker();
  // Only a person's click may open a window: what the worker asks for is written down instead.
  const followed = await worker.evaluate(async (message) => {
    const opened = [];
    clients.openWindow = async (url) => void opened.push(url);
    const { title, navigate, actions } = message.notification;
    const click = async (data, action) => {
      await registration.showNotification(title, { tag: "click", data });
      const [notification] = await registration.getNotifications({ tag: "click" });
      dispatchEvent(new NotificationEvent("notificationclick", { notification, action }));
      await new Promise((done) => setTimeout(done, 300));
      const left = await registration.getNotifications({ tag: "click" });
      left.forEach((one) => one.close());
      return left.length;
    };
    const left = [
      await click({ khabar: { navigate, actions } }, ""),
      await click({ khabar: { navigate, actions } }, "opt-out"),
      await click({ somebody: "else" }, ""),
      await click(undefined, ""),
    ];
    return { opened, left };
  }, MESSAGE);
  const { navigate, actions } = MESSAGE.notification;
  assert.deepEqual(followed, { opened: [navigate, actions[0].navigate], left: [0, 0, 1, 1] });
});

test("another site's worker shows the newsroom's alerts", async () => {
  const site = await otherSite(khabar);
  try {
    await browser.defaultBrowserContext().overridePermissions(site.url, ["notifications"]);
    await page.goto(site.url);
    await until("the worker", () =>
      page.evaluate(async () => Boolean((await navigator.serviceWorker.getRegistration())?.active)));
    await deliver(JSON.stringify(MESSAGE), site.url);
    await arrived(({ title }) => title === MESSAGE.notification.title);
    await clear();
  } finally {
    site.end();
  }
});
