export type ThemeName = "light" | "dark";

const STORED = "ved.theme";

/** Colours of the canvases; those of the page stand in app.css. Eight curves that stay apart for colour-blind people. */
export interface CanvasColours {
  readonly text: string;
  readonly grid: string;
  readonly background: string;
  readonly track: string;
  readonly old: string;
  readonly series: readonly string[];
}

const COLOURS: Record<ThemeName, CanvasColours> = {
  light: {
    text: "#1c2530",
    grid: "#d5dbe2",
    background: "#ffffff",
    track: "#5a6675",
    old: "#8a94a0",
    series: ["#0054d1", "#c62a12", "#00763a", "#8a2fc4", "#a85b00", "#00778a", "#bd0f76", "#3f4852"],
  },
  dark: {
    text: "#b9c4d0",
    grid: "#252e39",
    background: "#131920",
    track: "#6f7d8d",
    old: "#5d6874",
    series: ["#5aa9ff", "#ff7465", "#3fdb86", "#c794ff", "#ffb650", "#42d3e3", "#ff82ca", "#d5dde5"],
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
    this.set(stored === "light" || stored === "dark" ? stored : prefersDark ? "dark" : "light");
  }

  toggle(): void {
    this.set(this.name === "light" ? "dark" : "light");
    localStorage.setItem(STORED, this.name);
  }

  private set(name: ThemeName): void {
    this.name = name;
    document.documentElement.dataset["theme"] = name;
  }
}

export const theme = new Theme();
