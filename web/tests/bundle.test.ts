import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const BUDGET_BYTES = 250_000;

/** Chunks that the live view needs before the first curve. */
const FIRST = /^(Live|StripChart|worker)-/;

function firstLoad(): string[] {
  const assets = readdirSync(`${dist}assets`);
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    if (!name.endsWith(".js")) return;
    const text = readFileSync(`${dist}assets/${name}`, "utf8");
    for (const [, other] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)) visit(other!);
  };
  const page = readFileSync(`${dist}index.html`, "utf8");
  for (const [, name] of page.matchAll(/\/assets\/([^"]+)"/g)) visit(name!);
  for (const name of assets.filter((one) => FIRST.test(one))) visit(name);
  return [...seen];
}

describe("the built page (npm run build)", () => {
  it("loads at most 250 kB, gzipped, until the first curve", () => {
    const names = firstLoad();
    expect(names.filter((name) => FIRST.test(name)).length).toBeGreaterThanOrEqual(3);
    const bytes = names.reduce((sum, name) => sum + gzipSync(readFileSync(`${dist}assets/${name}`)).length, 0);
    expect(bytes).toBeLessThan(BUDGET_BYTES);
    expect(bytes).toBeGreaterThan(40_000);
    console.info(`first load: ${(bytes / 1000).toFixed(1)} kB gzipped in ${names.length} files`);
  });

  it("takes nothing from another host, and has no inline script or style", () => {
    const page = readFileSync(`${dist}index.html`, "utf8");
    expect(page).not.toMatch(/<style|style="|https?:\/\/|<script(?![^>]*\ssrc=)/);
  });
});
