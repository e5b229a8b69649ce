// npm `web-push` as its README shows, over connections that are kept open, so many at once.

import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import webPush from 'web-push';

const specification = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { browsers, concurrency, count, origin, payload, ttl, topic, warm_up } = specification;
const { public_key: publicKey, private_key: privateKey, subject } = specification;
const options = {
  agent: new Agent({ keepAlive: true, maxSockets: concurrency }),
  contentEncoding: 'aes128gcm',
  TTL: ttl,
  topic,
  urgency: 'normal',
  vapidDetails: { subject, publicKey, privateKey },
};

async function all(from, many) {
  const end = from + many;
  const result = { sent: 0, failed: 0 };
  let next = from;
  const lane = async () => {
    while (next < end) {
      const number = next++;
      const subscription = { endpoint: `${origin}/push/${number}`, keys: browsers[number % browsers.length] };
      try {
        await webPush.sendNotification(subscription, payload, options);
        result.sent += 1;
      } catch {
        result.failed += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return result;
}

await all(count, warm_up);
const cpuBefore = process.cpuUsage();
const began = process.hrtime.bigint();
const result = await all(0, count);
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ ...result, seconds, cpu: (user + system) / 1e6, runtime: process.version }));
process.exit(0);
