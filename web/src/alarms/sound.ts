const EVERY_MS = 2000;
const TONES_HZ = [880, 660] as const;
const TONE_S = 0.16;

/** Two tones again and again while something is loud, and a title that flashes. A browser lets a page sound after the first click in it. */
export class Siren {
  private context: AudioContext | null = null;
  private timer: ReturnType<typeof setInterval> | null = null;
  private isBright = false;
  private title: string | null = null;

  /** `title`: what the tab's title flashes; null: be quiet. */
  set(title: string | null, isMuted: () => boolean): void {
    if (title === this.title) return;
    this.title = title;
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.showTitle(null);
    if (title === null) return;
    let beats = 0;
    const beat = (): void => {
      this.isBright = !this.isBright;
      this.showTitle(this.isBright ? title : null);
      if (beats++ % 2 === 0 && !isMuted()) this.sound();
    };
    beat();
    this.timer = setInterval(beat, EVERY_MS / 2);
  }

  private showTitle(title: string | null): void {
    const plain = document.title.replace(/^‼ [^‼]*‼ /u, "");
    document.title = title === null ? plain : `‼ ${title} ‼ ${plain}`;
  }

  private sound(): void {
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") void this.context.resume();
    if (this.context.state !== "running") return;
    const now = this.context.currentTime;
    TONES_HZ.forEach((hz, at) => this.tone(hz, now + at * TONE_S));
  }

  private tone(hz: number, at: number): void {
    const { context } = this;
    if (context === null) return;
    const source = context.createOscillator();
    const volume = context.createGain();
    source.type = "square";
    source.frequency.value = hz;
    volume.gain.setValueAtTime(0.12, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + TONE_S);
    source.connect(volume).connect(context.destination);
    source.start(at);
    source.stop(at + TONE_S);
  }
}
