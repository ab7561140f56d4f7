/** The channels of a sheet, by whether a session has them. */
export interface Offer {
  readonly present: readonly string[];
  readonly missing: readonly string[];
}

/** `nameOf` gives what a channel is called now: a sheet may name it as it was called before. */
export function offerOf(wanted: readonly string[], offered: readonly string[], nameOf: (channel: string) => string): Offer {
  const known = new Set(offered);
  const isThere = (channel: string): boolean => known.has(channel) || known.has(nameOf(channel));
  return { present: wanted.filter(isThere), missing: wanted.filter((channel) => !isThere(channel)) };
}

/** The session that holds most of a time, undefined where none holds any of it. */
export function sessionOf<S extends { readonly utc_from_us: number; readonly utc_to_us: number }>(sessions: readonly S[], fromUs: number, toUs: number): S | undefined {
  const shared = (one: S): number => Math.min(one.utc_to_us, toUs) - Math.max(one.utc_from_us, fromUs);
  const best = [...sessions].sort((a, b) => shared(b) - shared(a))[0];
  return best !== undefined && shared(best) > 0 ? best : undefined;
}

/** The browser's own download. */
export function saveFrom(url: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  link.click();
}
