// Alerts in Firefox, the whole way: a click on the page, the editor's GraphQL, an encrypted message
// through a push service, the notification, and the click on it.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { alertWindow, firefox, optIn, picture } from "./support/browsers.js";
import { Khabar, until } from "./support/khabar.js";
import { otherSite } from "./support/other-site.js";
import { PushService } from "./support/push-service.js";

let khabar, service, browser, page;
const secrets = [];
before(async () => {
  [khabar, service] = await Promise.all([Khabar.start(), PushService.start()]);
  browser = await firefox(service.url);
});
after(async () => {
  await browser?.close();
  await service?.end();
  await khabar?.end();
});
beforeEach(async () => {
  for (const open of (await browser.pages()).slice(1)) await open.close();
  page = await browser.newPage();
  await page.goto(`${khabar.url}/ar-IQ`);
});

const says = (part) => until(`the page to say ${part}`, async () => (await optIn(page).status()).includes(part), 30);
const shown = () =>
  page.evaluate(async () => {
    const all = await (await navigator.serviceWorker.ready).getNotifications();
    return all.map(({ title, body, lang, dir, tag }) => ({ title, body, lang, dir, tag }));
  });
const clear = () =>
  page.evaluate(async () => {
    for (const one of await (await navigator.serviceWorker.ready).getNotifications()) one.close();
  });
// What the worker keeps.
const kept = () =>
  page.evaluate(() => new Promise((done) => {
    const opening = indexedDB.open("khabar-alerts");
    opening.onsuccess = () => {
      const request = opening.result.transaction("reader").objectStore("reader").get(0);
      request.onsuccess = () => (opening.result.close(), done(request.result));
    };
  }));
const HELD = `query($token: String!) { pushSubscription(token: $token) { breakingOnly categories { name } } }`;
const held = async () => khabar.ask(HELD, { token: (await kept()).token });
const alerted = async (headline, more) => {
  const published = await khabar.publish(headline, { alert: {}, ...more });
  return { ...published, alert: { ...published.alert, ...(await khabar.delivered(published.alert)) } };
};

test("a reader opts in by a click", async () => {
  assert.equal(service.live.length, 0);
  await optIn(page).click("[name=yes]");
  await says("الإشعارات مفعّلة");
  assert.equal(service.live.length, 1);
  assert.deepEqual(await held(), { breakingOnly: false, categories: [] });
  secrets.push((await kept()).token);
  await picture(page, "opted-in");
});

test("an alert arrives encrypted, is shown in Arabic, and a click on it opens the story", async () => {
  const headline = "عاجل: افتتاح مكتبة عامة في أربيل";
  const { article, alert } = await alerted(headline, { subheadline: "ستون ألف كتاب بأربع لغات" });
  assert.equal(alert.accepted, 1);
  const [notification] = await until("the notification", async () => (await shown()).length && shown());
  assert.equal(notification.title, headline);
  assert.equal(notification.body, "ستون ألف كتاب بأربع لغات");
  assert.deepEqual([notification.lang, notification.dir], ["ar-IQ", "rtl"]);
  await until("the browser to say that it showed it", () => service.acks.some(({ code }) => code === 100));
  assert.ok(service.answers.every((status) => status === 201), String(service.answers));

  const opened = new Promise((done) => browser.once("targetcreated", (target) => done(target.page())));
  await (await alertWindow(browser, headline)).click();
  const story = await opened;
  await until("the story", async () => decodeURIComponent(story.url()).endsWith(`/ar-IQ/${article.slug}`));
  assert.equal(await story.$eval("h1", (title) => title.textContent), headline);
  await until("the click to be counted", async () => (await khabar.delivered(alert)).clicked === 1);
  assert.deepEqual(await shown(), []);
});

test("the same alert twice is one notification: the later one replaces the earlier", async () => {
  const { alert } = await alerted("وصول القطار الأول");
  await until("the notification", async () => (await shown()).length === 1);
  const mutation = `mutation($id: ID!) { alertUpdate(id: $id, input: { title: "تصحيح: وصول القطار الثاني" }) { alert { id } userErrors { message } } }`;
  await khabar.ask(mutation, { id: alert.id });
  await until("the correction", async () => (await shown()).some(({ title }) => title.startsWith("تصحيح")));
  assert.equal((await shown()).length, 1);
  await clear();
});

test("what a reader chooses is kept at once, and decides what arrives", async () => {
  await says("الإشعارات مفعّلة");
  await optIn(page).click("summary");
    const iraq = await khabar.category("العراق");
  await optIn(page).click(`input[value="${iraq.id}"]`);
  await until("the choice", async () => (await held()).categories[0]?.name === "العراق");
  const sport = (await khabar.category("رياضة")).id;
  const other = await alerted("خبر رياضي لا يعنيه", { category: sport });
  assert.equal(other.alert.accepted, 0);
  // بغداد lies below العراق.
  const wanted = await alerted("خبر من بغداد يعنيه");
  assert.equal(wanted.alert.accepted, 1);
  await until("the notification", async () => (await shown()).length);
  assert.deepEqual((await shown()).map(({ title }) => title), ["خبر من بغداد يعنيه"]);
  await clear();
});

test("a browser with another address is found again, with its topics", async () => {
  const { token, endpoint } = await kept();
  service.forgetBrowser();
  await until("a new address", () => service.live.length === 1, 60);
  await until("the newsroom to know it", async () => (await kept()).endpoint !== endpoint, 60);
  assert.equal((await kept()).token, token);
  assert.deepEqual((await held()).categories.map(({ name }) => name), ["العراق"]);
  const { alert } = await alerted("خبر إلى العنوان الجديد");
  assert.deepEqual([alert.accepted, alert.gone], [1, 0]);
  await until("the notification", async () => (await shown()).length === 1);
  await clear();
});

test("a visit tells a new address even where the browser told nobody", async () => {
  await says("الإشعارات مفعّلة");
  const { endpoint } = await kept();
  // Another subscription under the worker's hands, without an event.
  await page.evaluate(async () => (await (await navigator.serviceWorker.ready).pushManager.getSubscription()).unsubscribe());
  // An alert meanwhile finds the old address gone, and the newsroom forgets it.
  const { alert } = await alerted("خبر يضيع");
  assert.deepEqual([alert.accepted, alert.gone], [0, 1]);
  await page.reload();
  await says("الإشعارات مفعّلة");
  assert.notEqual((await kept()).endpoint, endpoint);
  assert.deepEqual((await held()).categories.map(({ name }) => name), ["العراق"]);
  assert.equal((await alerted("خبر يصل")).alert.accepted, 1);
  await until("the notification", async () => (await shown()).length === 1);
  await clear();
});

test("a newsroom with another key gets a new subscription at the next visit", async () => {
  const before = await khabar.operation("WebPushKey");
  await khabar.stop();
  rmSync(join(khabar.folder, "master.key"));
  khabar.command("keys", "adopt", "--yes");
  await khabar.run();
  assert.notEqual(await khabar.operation("WebPushKey"), before);
  await page.reload();
  await says("الإشعارات مفعّلة");
  assert.equal(service.live.length, 1);
  assert.equal((await alerted("خبر بمفتاح جديد")).alert.accepted, 1);
  await until("the notification", async () => (await shown()).length === 1);
  await clear();
});

test("a reader who opts out by a notification's link stays out, and sees so at the next visit", async () => {
  const { alert } = await alerted("خبر يليه الوداع");
  assert.equal(alert.accepted, 1);
  await until("the notification", async () => (await shown()).length === 1);
  const link = await page.evaluate(async () => {
    const [{ data }] = await (await navigator.serviceWorker.ready).getNotifications();
    return data.khabar.actions.find(({ action }) => action === "opt-out").navigate;
  });
  await clear();
  secrets.push(link.split("/").at(-1));
  await page.goto(link);
  await Promise.all([page.waitForNavigation(), page.click("button")]);
  // Not even a new key of the newsroom, for which browsers subscribe anew, brings the reader back.
  khabar.command("keys", "rotate-vapid");
  await page.goto(`${khabar.url}/ar-IQ`);
  await says("الإشعارات متوقفة");
  assert.equal(await kept(), undefined);
  assert.equal(service.live.length, 0);
  assert.equal((await alerted("خبر لا يصل")).alert.audience, 0);
});

test("a reader who unsubscribes in the browser costs one request more, and no other", async () => {
  await optIn(page).click("[name=yes]");
  await says("الإشعارات مفعّلة");
  await page.evaluate(async () => (await (await navigator.serviceWorker.ready).pushManager.getSubscription()).unsubscribe());
  const first = await alerted("خبر بعد الانصراف");
  assert.equal(service.answers.at(-1), 410);
  assert.deepEqual([first.alert.accepted, first.alert.gone], [0, 1]);
  const asked = service.answers.length;
  const second = await alerted("خبر ثان بعد الانصراف");
  assert.deepEqual([second.alert.audience, second.alert.gone, service.answers.length], [0, 0, asked]);
});

test("the button ends it at once, on both sides", async () => {
  await page.reload();
  await says("الإشعارات مفعّلة");
  const { token } = await kept();
  await optIn(page).click("[name=stop]");
  await says("الإشعارات متوقفة");
  assert.equal(service.live.length, 0);
  assert.equal(await khabar.ask(HELD, { token }), null);
  assert.equal(await kept(), undefined);
});

test("another site offers the alerts with what its documentation says", async () => {
  const site = await otherSite(khabar);
  try {
    await page.goto(site.url);
    await optIn(page).click("[name=yes]");
    await says("الإشعارات مفعّلة");
    const { alert } = await alerted("خبر على موقع آخر");
    assert.equal(alert.accepted, 1);
    await until("the notification", async () => (await shown()).length === 1);
    assert.equal((await shown())[0].title, "خبر على موقع آخر");
    await optIn(page).click("[name=stop]");
    await says("الإشعارات متوقفة");
  } finally {
    site.end();
  }
});

test("the log holds nothing that opens or ends a subscription", () => {
  const requests = khabar.log.split("\n").filter((line) => line.includes("/alerts/opt-out/"));
  assert.ok(requests.length >= 2, "the visits to the link are in the log");
  for (const secret of [...secrets, ...service.endpoints.keys()]) {
    assert.ok(secret.length > 20 && !khabar.log.includes(secret), secret);
  }
});
