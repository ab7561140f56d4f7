import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { en, type Key } from "../src/i18n/en";
import { fr } from "../src/i18n/fr";

const keys = Object.keys(en) as Key[];
const places = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort();

const root = fileURLToPath(new URL("../src/", import.meta.url));
const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(svelte|ts)$/.test(name) && !/i18n\/(en|fr)\.ts$/.test(name))
  .map((name) => [name, readFileSync(`${root}${name}`, "utf8")] as const);

describe("texts", () => {
  it("French has exactly the keys of English", () => expect(Object.keys(fr).sort()).toEqual([...keys].sort()));

  it.each(keys)("%s is complete in both languages", (key) => {
    expect(en[key].trim()).not.toBe("");
    expect(fr[key].trim()).not.toBe("");
    expect(places(fr[key])).toEqual(places(en[key]));
  });

  it("every text is used", () => {
    const all = sources.map(([, text]) => text).join("\n");
    // Keys that are made of parts, such as lamp.${lamp}.
    const made = new Set([...all.matchAll(/`([\w.]+\.)\$\{/g)].map(([, prefix]) => prefix!));
    const isMade = (key: string): boolean => [...made].some((prefix) => key.startsWith(prefix));
    expect(keys.filter((key) => !isMade(key) && !all.includes(`"${key}"`))).toEqual([]);
  });

  it("no text stands in a component", () => {
    const found = sources
      .filter(([name]) => name.endsWith(".svelte"))
      .flatMap(([name, text]) => {
        const markup = text.replace(/<script[\s\S]*?<\/script>|<style[\s\S]*?<\/style>|<!--[\s\S]*?-->|\{[^{}]*\}/g, "");
        return [...markup.matchAll(/>\s*([A-Za-zÀ-ÿ]{3,}[^<>{}]*)</g)].map(([, words]) => `${name}: ${words}`);
      });
    expect(found).toEqual([]);
  });

  it("markup from data is never rendered", () => {
    expect(sources.filter(([, text]) => /\{@html|innerHTML|outerHTML|insertAdjacentHTML|document\.write/.test(text)).map(([name]) => name)).toEqual([]);
  });
});
