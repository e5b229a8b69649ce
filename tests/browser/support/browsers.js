// The two browsers, kept off the network.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { ROOT, until } from "./khabar.js";

const found = (name, paths) => {
  const path = paths.find(existsSync);
  if (!path) throw new Error(`${name} is missing: apt-get install --no-install-recommends ${name}`);
  return path;
};

const PICTURES = join(ROOT, "target/browser");
mkdirSync(PICTURES, { recursive: true });

export const picture = (page, name, options = {}) =>
  page.screenshot({ path: join(PICTURES, `${name}.png`), ...options });

export const chromium = () =>
  puppeteer.launch({
    browser: "chrome",
    executablePath: found("chromium", ["/usr/bin/chromium", "/usr/bin/google-chrome"]),
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
    ],
  });

// Without the preference of permission the browser would ask, and nobody would answer.
export const firefox = (pushUrl) =>
  puppeteer.launch({
    browser: "firefox",
    executablePath: found("firefox-esr", ["/usr/bin/firefox-esr", "/usr/bin/firefox"]),
    args: ["--remote-allow-system-access"],
    extraPrefsFirefox: {
      "dom.push.serverURL": pushUrl,
      "dom.push.testing.allowInsecureServerURL": true,
      "dom.push.connection.enabled": true,
      "dom.push.retryBaseInterval": 200,
      "alerts.useSystemBackend": false,
      "permissions.default.desktop-notification": 1,
      "network.dns.disabled": true,
    },
  });

// The opt-in, which lives in a shadow tree.
export const optIn = (page) => {
  const part = async (selector) => {
    const handle = await page.evaluateHandle(
      (selector) => document.querySelector("khabar-alerts")?.shadowRoot?.querySelector(selector),
      selector,
    );
    return handle.asElement();
  };
  const shown = (selector) => until(`the opt-in to show ${selector}`, async () => {
    const found = await part(selector);
    return (await found?.isVisible()) && found;
  });
  return {
    part,
    shown,
    click: async (selector) => (await shown(selector)).click(),
    text: () => page.$eval("khabar-alerts", ({ shadowRoot }) => shadowRoot.textContent),
    status: async () => (await part("[role=status]")).evaluate((status) => status.textContent),
  };
};

// Firefox's own window of a notification. Its buttons are the browser's: only the driver that sees
// the browser's windows can press them, as a person would.
export const alertWindow = async (browser, title) => {
  const { connection } = browser;
  const { result } = await connection.send("browsingContext.getTree", { "moz:scope": "chrome" });
  for (const { context, url } of result.contexts) {
    if (!url.endsWith("/alert.xhtml")) continue;
    const evaluate = async (expression) => {
      const target = { context };
      const answer = await connection.send("script.evaluate", { expression, target, awaitPromise: false });
      return answer.result.result.value;
    };
    const shown = await evaluate(`document.getElementById("alertTitleLabel").value`);
    if (shown === title) return { click: () => evaluate(`document.getElementById("alertBox").click()`) };
  }
  throw new Error(`Firefox shows no notification with the title ${title}`);
};
