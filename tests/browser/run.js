// Runs every test of this folder, one file after the other, and says how many passed.
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const named = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith(".test.js") && (!named.length || named.some((part) => name.includes(part))))
  .map((name) => join(here, name));

let passed = 0;
let failed = 0;
const isTest = ({ details, name }) => details?.type !== "suite" && !name.endsWith(".test.js");
const tests = run({ files, concurrency: 1, timeout: 10 * 60_000 });
tests.on("test:pass", (test) => (passed += isTest(test) && !test.skip ? 1 : 0));
tests.on("test:fail", (test) => (failed += isTest(test) ? 1 : 0));
tests.compose(new spec()).pipe(process.stdout);
tests.on("end", () => {
  // Nothing passed: nothing was tested.
  process.exitCode = failed || !passed ? 1 : 0;
  process.on("exit", () => console.log(`${passed} passed, ${failed} failed`));
});
