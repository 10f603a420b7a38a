// @vitest-environment node
/** The console as it was built: how much of it a browser loads before it shows a page. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";

const BUILT = join(import.meta.dirname, "../../api/runcast_api/console");
const MAX_BYTES = 200 * 1024;

/** What a browser fetches before it shows a page: the document, its scripts, styles, and what those import. */
function firstLoad() {
  const found = new Map();
  const add = (path) => {
    if (found.has(path)) return;
    const content = readFileSync(join(BUILT, path));
    found.set(path, gzipSync(content).length);
    if (!path.endsWith(".js")) return;
    for (const [, name] of content.toString().matchAll(/(?:import|from)\s*"\.\/([^"]+\.js)"/g)) add(`assets/${name}`);
  };
  add("index.html");
  const page = readFileSync(join(BUILT, "index.html"), "utf8");
  for (const [, path] of page.matchAll(/(?:src|href)="\/ui\/([^"]+\.(?:js|css))"/g)) if (path) add(path);
  return found;
}

it.runIf(existsSync(join(BUILT, "index.html")))("loads at most 200 KiB, compressed, before its first page", () => {
  const files = firstLoad();
  const sum = [...files.values()].reduce((all, size) => all + size, 0);
  expect(files.size).toBeGreaterThan(3);
  expect(sum, JSON.stringify(Object.fromEntries(files))).toBeLessThanOrEqual(MAX_BYTES);
});
