import { afterEach, describe, expect, it, vi } from "vitest";
import { copyText } from "../src/layout/clipboard";

interface Field {
  value: string;
  readOnly: boolean;
  style: Record<string, string>;
  select: () => void;
  remove: () => void;
}

/** A page with nothing but what copying needs; gives what was selected when it was copied. */
function page(clipboard: { writeText: (text: string) => Promise<void> } | undefined, mayCopy: boolean): { copied: string[]; left: number } {
  const told = { copied: [] as string[], left: 0 };
  let selected = "";
  vi.stubGlobal("HTMLElement", class {});
  vi.stubGlobal("navigator", { clipboard });
  vi.stubGlobal("document", {
    activeElement: null,
    body: { append: () => told.left++ },
    createElement: (): Field => {
      const field: Field = { value: "", readOnly: false, style: {}, select: () => (selected = field.value), remove: () => told.left-- };
      return field;
    },
    execCommand: () => {
      if (mayCopy) told.copied.push(selected);
      return mayCopy;
    },
  });
  return told;
}

describe("copying", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("uses the clipboard where there is one", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    const told = page({ writeText }, true);
    expect([await copyText("link"), writeText.mock.calls, told.copied]).toEqual([true, [["link"]], []]);
  });

  it("works over plain http, and where the browser refuses the clipboard", async () => {
    for (const clipboard of [undefined, { writeText: () => Promise.reject(new DOMException("no", "NotAllowedError")) }]) {
      const told = page(clipboard, true);
      expect([await copyText("link"), told.copied, told.left]).toEqual([true, ["link"], 0]);
    }
  });

  it("says when the text must be copied by hand", async () => {
    const told = page(undefined, false);
    expect([await copyText("link"), told.copied, told.left]).toEqual([false, [], 0]);
  });
});
