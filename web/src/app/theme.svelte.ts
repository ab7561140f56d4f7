export const THEMES = ["light", "dark", "sunlight"] as const;
export type ThemeName = (typeof THEMES)[number];

const STORED = "ved.theme";

/** Colours of the canvases; those of the page stand in app.css. Eight curves that stay apart for colour-blind people. */
export interface CanvasColours {
  readonly text: string;
  readonly grid: string;
  readonly background: string;
  readonly track: string;
  readonly old: string;
  readonly good: string;
  readonly warn: string;
  readonly bad: string;
  readonly series: readonly string[];
  /** Width of curves in CSS pixels. */
  readonly lineWidth: number;
}

const COLOURS: Record<ThemeName, CanvasColours> = {
  light: {
    text: "#1c2530",
    grid: "#e1e6eb",
    background: "#ffffff",
    track: "#5a6675",
    old: "#8a94a0",
    good: "#00702f",
    warn: "#b06a00",
    bad: "#b3150e",
    series: ["#0054d1", "#c62a12", "#00763a", "#8a2fc4", "#a85b00", "#00778a", "#bd0f76", "#3f4852"],
    lineWidth: 1.6,
  },
  dark: {
    text: "#b9c4d0",
    grid: "#252e39",
    background: "#131920",
    track: "#6f7d8d",
    old: "#5d6874",
    good: "#3fdb86",
    warn: "#ffb650",
    bad: "#ff7465",
    series: ["#5aa9ff", "#ff7465", "#3fdb86", "#c794ff", "#ffb650", "#42d3e3", "#ff82ca", "#d5dde5"],
    lineWidth: 1.6,
  },
  // Black on white, thicker lines, no greys: readable through sunglasses on a dim screen.
  sunlight: {
    text: "#000000",
    grid: "#9aa0a6",
    background: "#ffffff",
    track: "#000000",
    old: "#5c5c5c",
    good: "#005a20",
    warn: "#8a4b00",
    bad: "#a00000",
    series: ["#0033b4", "#b00000", "#005a20", "#6a0dad", "#7a3d00", "#005a68", "#98005a", "#000000"],
    lineWidth: 2.6,
  },
};

class Theme {
  name = $state<ThemeName>("light");

  get colours(): CanvasColours {
    return COLOURS[this.name];
  }

  start(): void {
    const stored = localStorage.getItem(STORED);
    const prefersDark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.show(THEMES.find((name) => name === stored) ?? (prefersDark ? "dark" : "light"));
  }

  set(name: ThemeName): void {
    this.show(name);
    localStorage.setItem(STORED, name);
  }

  /** The next of the three. */
  next(): void {
    this.set(THEMES[(THEMES.indexOf(this.name) + 1) % THEMES.length]!);
  }

  private show(name: ThemeName): void {
    this.name = name;
    document.documentElement.dataset["theme"] = name;
  }
}

export const theme = new Theme();
