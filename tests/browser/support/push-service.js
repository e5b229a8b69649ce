// A push service as strict as the real ones: Mozilla's protocol to the browser on one side
// (WebSocket), RFC 8030 with RFC 8292 to the newsroom on the other (HTTP).
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const MAX_BODY = 4096;
const DAY = 24 * 3600;

export class PushService {
  // By token: { channel, key, gone }.
  endpoints = new Map();
  // What the newsroom was answered, in order.
  answers = [];
  // What the browser said of messages: 100 shown, 101 could not decrypt.
  acks = [];
  waiting = [];
  #socket;
  #uaid;

  static async start() {
    const service = new PushService();
    service.http = createServer((request, response) => service.#take(request, response));
    await new Promise((done) => service.http.listen(0, "127.0.0.1", done));
    service.origin = `http://127.0.0.1:${service.http.address().port}`;
    service.sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await new Promise((done) => service.sockets.once("listening", done));
    service.url = `ws://127.0.0.1:${service.sockets.address().port}/`;
    service.sockets.on("connection", (socket) => {
      socket.on("message", (text) => service.#heard(socket, JSON.parse(text)));
      socket.on("close", () => {
        if (service.#socket === socket) service.#socket = undefined;
      });
    });
    return service;
  }

  async end() {
    for (const socket of this.sockets.clients) socket.terminate();
    this.sockets.close();
    this.http.closeAllConnections?.();
    await new Promise((done) => this.http.close(done));
  }

  // Knows the browser no more: at its next hello it is somebody new, and its endpoints are gone.
  forgetBrowser() {
    this.#uaid = undefined;
    for (const endpoint of this.endpoints.values()) endpoint.gone = true;
    for (const socket of this.sockets.clients) socket.terminate();
  }

  get live() {
    return [...this.endpoints.values()].filter(({ gone }) => !gone);
  }

  #heard(socket, message) {
    const say = (answer) => socket.send(JSON.stringify(answer));
    const { messageType, channelID, key } = message;
    if (messageType === undefined) return socket.send("{}");
    if (messageType === "hello") {
      if (!this.#uaid || message.uaid !== this.#uaid) this.#uaid = randomBytes(16).toString("hex");
      this.#socket = socket;
      say({ messageType, uaid: this.#uaid, status: 200, use_webpush: true, broadcasts: {} });
      this.waiting.splice(0).forEach((waiting) => this.#deliver(waiting));
    } else if (messageType === "register") {
      const token = randomBytes(24).toString("base64url");
      this.endpoints.set(token, { channel: channelID, key, gone: false });
      say({ messageType, channelID, status: 200, pushEndpoint: `${this.origin}/wpush/v2/${token}` });
    } else if (messageType === "unregister") {
      for (const endpoint of this.endpoints.values()) {
        if (endpoint.channel === channelID) endpoint.gone = true;
      }
      say({ messageType, channelID, status: 200 });
    } else if (messageType === "ack") {
      this.acks.push(...message.updates);
    }
  }

  async #take(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    const status = this.#judge(request, body);
    this.answers.push(status);
    const headers = status === 201 ? { location: `${this.origin}/m/${randomBytes(8).toString("hex")}` } : {};
    response.writeHead(status, headers).end();
    if (status === 201) this.#accept(request, body);
  }

  #judge(request, body) {
    const { headers, method, url } = request;
    const endpoint = this.endpoints.get(url.replace("/wpush/v2/", ""));
    if (method !== "POST" || !endpoint) return 404;
    if (!/^\d+$/.test(headers.ttl ?? "") || headers["content-encoding"] !== "aes128gcm") return 400;
    if (headers.topic && !/^[\w-]{1,32}$/.test(headers.topic)) return 400;
    if (!/^(very-low|low|normal|high)$/.test(headers.urgency ?? "normal")) return 400;
    if (body.length > MAX_BODY) return 413;
    if (!this.#isSigned(headers.authorization, endpoint.key)) return 401;
    return endpoint.gone ? 410 : 201;
  }

  #isSigned(authorization, registered) {
    const said = /^vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), ?k=([\w-]+)$/.exec(authorization ?? "");
    if (!said) return false;
    const [, head, claims, signature, k] = said;
    const bytes = (text) => Buffer.from(text, "base64url");
    const point = bytes(k);
    if (point.length !== 65 || !point.equals(bytes(registered))) return false;
    const jwk = {
      kty: "EC",
      crv: "P-256",
      x: point.subarray(1, 33).toString("base64url"),
      y: point.subarray(33).toString("base64url"),
    };
    const key = { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" };
    const { aud, exp, sub } = JSON.parse(bytes(claims));
    const now = Date.now() / 1000;
    return (
      verify("sha256", Buffer.from(`${head}.${claims}`), key, bytes(signature)) &&
      JSON.parse(bytes(head)).alg === "ES256" &&
      aud === this.origin &&
      exp > now &&
      exp <= now + DAY &&
      /^(mailto:.+@|https:\/\/)/.test(sub ?? "")
    );
  }

  #accept({ headers, url }, body) {
    const { channel } = this.endpoints.get(url.replace("/wpush/v2/", ""));
    const message = { channel, topic: headers.topic, data: body.toString("base64url") };
    if (this.#socket) return this.#deliver(message);
    // What waits under a topic is replaced (RFC 8030 §5.4).
    this.waiting = this.waiting.filter(({ topic }) => !topic || topic !== message.topic);
    this.waiting.push(message);
  }

  #deliver({ channel, data }) {
    const version = randomBytes(12).toString("hex");
    const headers = { encoding: "aes128gcm" };
    const message = { messageType: "notification", channelID: channel, version, data, headers };
    this.#socket.send(JSON.stringify(message));
  }
}
