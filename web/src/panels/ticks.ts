/** Writes a label of the horizontal axis under its line; at the edge of the canvas it moves in, so that it is never cut. */
export function tickText(ctx: CanvasRenderingContext2D, text: string, x: number, y: number, width: number): void {
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.fillText(text, Math.min(x, width - ctx.measureText(text).width / 2 - 1), y);
}
