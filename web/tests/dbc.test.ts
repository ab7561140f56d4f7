import { describe, expect, it } from "vitest";
import { base64Of } from "../src/dbc/rest";
import { exact, fieldUs, moment, validity } from "../src/dbc/times";
import { value, w } from "../src/dbc/words";
import { i18n } from "../src/i18n/i18n.svelte";

describe("times of the registry", () => {
  it("are UTC", () => {
    const utcUs = Date.UTC(2026, 4, 1, 14, 30) * 1000;
    expect(moment(utcUs)).toBe("2026-05-01 14:30");
    expect(moment(utcUs + 5_000_000)).toBe("2026-05-01 14:30:05");
    expect(exact(utcUs + 1_999)).toBe("2026-05-01 14:30:00.001");
    expect(fieldUs("2026-05-01T14:30")).toBe(utcUs);
    expect(fieldUs("2026-05-01T14:30:05")).toBe(utcUs + 5_000_000);
    expect(fieldUs("")).toBeNull();
  });

  it("are told as a validity in both languages", () => {
    const utcUs = Date.UTC(2026, 4, 1) * 1000;
    expect([validity(null, null), validity(utcUs, null), validity(null, utcUs), validity(utcUs, utcUs)]).toEqual([
      "always",
      "from 2026-05-01 00:00",
      "until 2026-05-01 00:00",
      "2026-05-01 00:00 to 2026-05-01 00:00",
    ]);
    i18n.language = "fr";
    expect(validity(utcUs, null)).toBe("depuis 2026-05-01 00:00");
    expect([value(0.5), value(null)]).toEqual(["0,5", "–"]);
    expect(w("kind.gone")).toBe("disparue");
    i18n.language = "en";
  });
});

describe("files", () => {
  it("go as base64, whatever their size", async () => {
    const bytes = new Uint8Array(100_000).map((_, at) => at % 251);
    const text = await base64Of(new Blob([bytes]));
    expect(Uint8Array.from(atob(text), (one) => one.charCodeAt(0))).toEqual(bytes);
  });
});
