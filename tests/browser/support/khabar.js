// The real server, on a private port and a folder of its own, and a client of its API.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BINARY = process.env.BINARY ?? join(ROOT, "target/debug/khabar");
const PASSWORD = "a password for tests";

export const operation = (name) => readFileSync(join(ROOT, `schema/operations/${name}.graphql`), "utf8");

export const until = async (what, condition, seconds = 20) => {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const met = await condition();
    if (met) return met;
    assert.ok(Date.now() < end, `waited ${seconds} s for ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
};

export const freePort = () =>
  new Promise((done, fail) => {
    const server = createServer().on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

export class Khabar {
  static async start(settings = {}) {
    assert.ok(existsSync(BINARY), `${BINARY} is missing: run cargo build, or name another in BINARY`);
    const khabar = new Khabar();
    khabar.port = await freePort();
    khabar.url = `http://127.0.0.1:${khabar.port}`;
    khabar.folder = mkdtempSync(join(tmpdir(), "khabar-browser-"));
    khabar.settings = settings;
    await khabar.run();
    const input = { email: "admin@khabar.example", password: PASSWORD };
    khabar.token = (await khabar.operation("SignIn", { input })).token;
    return khabar;
  }

  get env() {
    return {
      PATH: process.env.PATH,
      KHABAR_LISTEN: `127.0.0.1:${this.port}`,
      KHABAR_DATA_DIR: this.folder,
      KHABAR_ADMIN_PASSWORD: PASSWORD,
      KHABAR_PUSH_ALLOW_LOOPBACK: "on",
      KHABAR_WEATHER_ENABLED: "off",
      KHABAR_COMMENTS_PER_MINUTE: "100",
      ...this.settings,
    };
  }

  // Runs another command of the binary to its end.
  command(...words) {
    const { status, stderr } = spawnSync(BINARY, words, { env: this.env, cwd: this.folder });
    assert.equal(status, 0, `khabar ${words.join(" ")}: ${stderr}`);
  }

  async run() {
    this.log ??= "";
    this.process = spawn(BINARY, ["serve"], { env: this.env, cwd: this.folder });
    for (const output of [this.process.stdout, this.process.stderr]) {
      output.on("data", (text) => (this.log += text));
    }
    await until(`the server to be ready: ${this.log}`, async () => {
      assert.equal(this.process.exitCode, null, `the server ended:\n${this.log}`);
      return (await fetch(`${this.url}/health/ready`).catch(() => ({}))).ok;
    }, 60);
  }

  async stop() {
    const ended = new Promise((done) => this.process.once("exit", done));
    this.process.kill("SIGTERM");
    await ended;
  }

  async end() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  // The last root field of an answer, without errors of any kind. Before it may stand the event to
  // follow it from.
  async ask(query, variables = {}) {
    const headers = { "content-type": "application/json" };
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const body = JSON.stringify({ query, variables });
    const answer = await (await fetch(`${this.url}/graphql`, { method: "POST", headers, body })).json();
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    const payload = Object.values(answer.data).at(-1);
    assert.deepEqual(payload?.userErrors ?? [], []);
    return payload;
  }

  operation(name, variables) {
    return this.ask(operation(name), variables);
  }

  async category(slug, locale = "ar-IQ") {
    return this.operation("CategoryPage", { slug, locale });
  }

  // A published story, and the alert of it if one is asked for.
  async publish(headline, { alert, ...more } = {}) {
    const category = (await this.category("بغداد")).id;
    const input = { locale: "ar-IQ", category, headline, body: { text: "نص الخبر." }, ...more };
    const { article } = await this.operation("ArticleCreate", { input });
    return this.operation("ArticlePublish", { id: article.id, input: alert ? { alert } : {} });
  }

  // An alert once it is over.
  async delivered({ id }) {
    const query = `query($id: ID!) { alert(id: $id) { state audience accepted gone failed suppressed clicked } }`;
    return until("the alert to be delivered", async () => {
      const alert = await this.ask(query, { id });
      return alert.state === "DONE" && alert;
    }, 60);
  }

  async comment(article, body, more = {}) {
    return this.operation("CommentCreate", { input: { article, authorName: "قارئ", body, ...more } });
  }
}
