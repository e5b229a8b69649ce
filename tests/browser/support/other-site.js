// A news site on another origin that includes the alerts with what the documentation says.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { ROOT } from "./khabar.js";

export const otherSite = async (khabar) => {
  const guide = readFileSync(join(ROOT, "docs/alerts-on-your-site.md"), "utf8");
  const snippet = (language) => {
    const [, code] = new RegExp("```" + language + "\n([^]*?)```").exec(guide);
    return code.replaceAll("https://news.example", khabar.url);
  };
  const policy = `default-src 'none'; script-src 'self' ${khabar.url}; connect-src ${khabar.url}; worker-src 'self'`;
  const server = createServer((request, response) => {
    const isWorker = request.url === "/khabar-worker.js";
    const type = isWorker ? "text/javascript" : "text/html; charset=utf-8";
    response.writeHead(200, { "content-type": type, "content-security-policy": policy });
    response.end(isWorker ? snippet("js") : `<!doctype html><title>موقع آخر</title>${snippet("html")}`);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const end = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, end };
};
