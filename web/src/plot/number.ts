const NUMBER = /^[0-9.,e+\u2212\u2013\u221e-]+$/;

/** Whether a text is a number, or the dash for none: not a word. */
export const isNumber = (text: string): boolean => NUMBER.test(text);

/** Digits behind the point or comma. */
export const decimalsIn = (text: string): number => text.split(/[.,]/)[1]?.length ?? 0;

/** Writes numbers on a canvas in the style that the page has for it. */
export class NumberPen {
  private readonly ctx: CanvasRenderingContext2D | null;
  private readonly alignment: number;
  private readonly baseline: number;
  private readonly fontPx: number;
  /** Of glyphs in device pixels. */
  private readonly widths = new Map<string, number>();

  /** The canvas is `width` by `height` CSS pixels large; `ratio` device pixels make one of these. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    width: number,
    height: number,
    readonly ratio: number,
  ) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const { fontFamily, fontSize, fontWeight, color, textAlign } = getComputedStyle(canvas);
    this.alignment = alignmentOf(textAlign);
    this.fontPx = Number.parseFloat(fontSize) * ratio;
    this.ctx = canvas.getContext("2d");
    if (this.ctx !== null) {
      this.ctx.font = `${fontWeight} ${this.fontPx}px ${fontFamily}`;
      this.ctx.fillStyle = color;
    }
    const zero = this.ctx?.measureText("0");
    const [ascent, descent] = [zero?.fontBoundingBoxAscent ?? 0, zero?.fontBoundingBoxDescent ?? 0];
    this.baseline = Math.round((canvas.height + ascent - descent) / 2);
  }

  /** Glyph by glyph: a browser keeps what it worked out for each text, and of glyphs there are few. */
  write(text: string): void {
    if (this.ctx === null) return;
    this.ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    let x = (this.canvas.width - this.widthOfAll(text)) * this.alignment;
    for (const glyph of text) {
      this.ctx.fillText(glyph, x, this.baseline);
      x += this.widthOf(glyph);
    }
  }

  /** Room that a text needs, in parts of the size of the font; a little more than none, as device pixels are whole. */
  emsOf(text: string): number {
    return (this.widthOfAll(text) + 1) / this.fontPx;
  }

  private widthOfAll(text: string): number {
    let total = 0;
    for (const glyph of text) total += this.widthOf(glyph);
    return total;
  }

  /** All digits take the room of a zero. */
  private widthOf(glyph: string): number {
    const like = glyph >= "0" && glyph <= "9" ? "0" : glyph;
    let width = this.widths.get(like);
    if (width === undefined) this.widths.set(like, (width = this.ctx?.measureText(like).width ?? 0));
    return width;
  }
}

/** Part of the free room that lies left of the text. */
function alignmentOf(textAlign: string): number {
  if (textAlign === "right" || textAlign === "end") return 1;
  return textAlign === "center" ? 0.5 : 0;
}
