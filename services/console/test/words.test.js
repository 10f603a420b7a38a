// @vitest-environment node
/** The console's words: those of the glossary, and none that people stumble over. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const SRC = join(import.meta.dirname, "../src");
const GLOSSARY = readFileSync(join(import.meta.dirname, "../../../docs/glossary.md"), "utf8");
const AVOIDED =
  /\b(anew|nobody|somebody|whoever|stands? still|so many|beside|as it happens|no run yet|scroll lock|forget the|not heard from|may no longer|tak(e|en) back|keep it|end it|plan again|place (it )?(lower|higher)|on their way|short name|left empty)\b/i;

const sources = () =>
  readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.tsx?$/.test(path) && !/\.test\./.test(path))
    .map((path) => [path, readFileSync(join(SRC, path), "utf8")]);

/** What a reader sees, comments left out. */
const shown = (source) => source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");

it("avoids words that its readers would stumble over", () => {
  const found = sources().flatMap(([path, source]) =>
    shown(source)
      .split("\n")
      .filter((line) => AVOIDED.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  );
  expect(found).toEqual([]);
});

it("explains every status and role in the glossary", () => {
  const words = [
    ...[...readFileSync(join(SRC, "design/Status.tsx"), "utf8").matchAll(/word: "([^"]+)"/g)].map(([, word]) => word),
    ...[...readFileSync(join(SRC, "projects/roles.ts"), "utf8").matchAll(/"(\w+) \(/g)].map(([, word]) => word),
    "Stalled",
    "Unresponsive",
  ];
  expect(words.length).toBeGreaterThan(20);
  expect(words.filter((word) => !GLOSSARY.includes(`**${word}**`))).toEqual([]);
});
