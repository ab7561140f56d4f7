import { decimalsFor, formatChoice, formatNumber } from "../plot/format";
import type { ChannelInfo, MapChannels } from "../protocol/messages";
import type { Reading } from "../query/query";
import { conversionOf, convert, type Conversion } from "../units/units";

/** A tenth of a metre. */
const POSITION_DECIMALS = 6;

export interface NumberSource {
  channel(name: string): ChannelInfo | undefined;
  readonly map: MapChannels | null;
  /** The person's units, by quantity. */
  readonly units: Readonly<Record<string, string>>;
  readonly language: string;
}

/** How values of channels are written: units of the person, and decimals that stay, so that numbers keep their width. */
export class Numbers {
  /** The greatest magnitude seen of each channel: it gives the decimals, and only grows. */
  private readonly sizes = new Map<string, number>();

  constructor(private readonly source: NumberSource) {}

  conversion(name: string): Conversion {
    return conversionOf(this.source.channel(name)?.unit ?? "", this.source.units);
  }

  unit(name: string): string {
    const { unit } = this.conversion(name);
    const info = this.source.channel(name);
    if (info === undefined || unit !== info.unit) return unit;
    return (this.source.language === "fr" ? info.unit_fr : info.unit_en) ?? unit;
  }

  /** The value table's text, else the number. */
  text(name: string, value: number, size = Math.abs(value)): string {
    const info = this.source.channel(name);
    const choice = formatChoice(value, info?.choices ?? []);
    if (choice !== null) return choice;
    const { language } = this.source;
    if (info?.kind === "discrete" && Number.isInteger(value)) return formatNumber(value, 0, language);
    return formatNumber(convert(value, this.conversion(name)), this.decimals(name, size), language);
  }

  reading(name: string, reading: Reading | null | undefined): string {
    return reading == null ? "–" : this.text(name, reading.value, reading.size);
  }

  /** A difference, or a mean, with one decimal more. */
  fine(name: string, value: number, isDifference: boolean): string {
    const by = this.conversion(name);
    const size = this.sizes.get(name) ?? Math.abs(value);
    return formatNumber(isDifference ? value * by.factor : convert(value, by), this.decimals(name, size), this.source.language);
  }

  /** Numbers are measured by the range of the DBC, and by the samples where these are much smaller. */
  private decimals(name: string, size: number): number {
    const { map } = this.source;
    if (name === map?.latitude || name === map?.longitude) return POSITION_DECIMALS;
    const greatest = Math.max(Number.isFinite(size) ? size : 0, this.sizes.get(name) ?? 0);
    this.sizes.set(name, greatest);
    const info = this.source.channel(name);
    const factor = Math.abs(this.conversion(name).factor);
    const bySize = decimalsFor(2 * greatest * factor);
    if (info?.minimum == null || info.maximum == null || !(info.maximum > info.minimum)) return bySize;
    // Ranges of a DBC are often far wider than what the car does.
    const byRange = decimalsFor((info.maximum - info.minimum) * factor, 4);
    return Math.min(Math.max(bySize, byRange), byRange + 2);
  }
}
