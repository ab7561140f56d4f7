import type { ChannelInfo } from "../protocol/messages";

export interface Match {
  readonly channel: ChannelInfo;
  readonly score: number;
  /** Positions in `channel.name` that matched, for the highlight. */
  readonly positions: readonly number[];
}

interface Entry {
  readonly channel: ChannelInfo;
  readonly name: string;
  readonly units: readonly string[];
  readonly rest: string;
}

/** Lower case without accents; one character stays one character, so positions hold for the original text. */
export function fold(text: string): string {
  let folded = "";
  for (const unit of text) {
    const plain = unit.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    folded += plain.length === unit.length ? plain : unit;
  }
  return folded;
}

/** Searches channels by name, title, former name, message, unit, comment and value text. Every word of the query must be found somewhere. */
export class ChannelSearch {
  private readonly entries: readonly Entry[];

  constructor(channels: readonly ChannelInfo[]) {
    this.entries = channels.map((channel) => ({
      channel,
      name: fold(channel.name),
      units: [channel.unit, channel.unit_en ?? "", channel.unit_fr ?? ""].map(fold),
      rest: fold(restOf(channel)),
    }));
  }

  /** Best first; all channels in their own order for an empty query. */
  find(query: string): Match[] {
    const words = fold(query).split(/\s+/).filter((word) => word !== "");
    if (words.length === 0) return this.entries.map(({ channel }) => ({ channel, score: 0, positions: [] }));
    const matches: Match[] = [];
    for (const entry of this.entries) {
      const match = matchEntry(entry, words);
      if (match !== null) matches.push(match);
    }
    return matches.sort((a, b) => b.score - a.score || compareText(a.channel.name, b.channel.name));
  }
}

function restOf(channel: ChannelInfo): string {
  const texts = channel.choices.map(([, text]) => text);
  return [channel.title_en, channel.title_fr, channel.message, channel.signal, channel.comment, ...texts, ...(channel.former ?? [])].join(" ");
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function matchEntry(entry: Entry, words: readonly string[]): Match | null {
  let score = 0;
  const positions = new Set<number>();
  for (const word of words) {
    const found = matchWord(entry, word, positions);
    if (found === 0) return null;
    score += found;
  }
  // Of two names that match alike, the shorter one is nearer to what was typed.
  return { channel: entry.channel, score: score - entry.name.length * 0.01, positions: [...positions].sort((a, b) => a - b) };
}

/** How well a word is found: 0 not at all, more is better. Adds the positions in the name. */
function matchWord(entry: Entry, word: string, positions: Set<number>): number {
  const at = bestOccurrence(entry.name, entry.channel.name, word);
  if (at >= 0) {
    for (let i = 0; i < word.length; i++) positions.add(at + i);
    return isWordStart(entry.channel.name, at) ? 100 : 80;
  }
  if (entry.units.includes(word)) return 60;
  const restAt = entry.rest.indexOf(word);
  if (restAt >= 0) return restAt === 0 || /[^\p{L}\p{N}]/u.test(entry.rest[restAt - 1]!) ? 40 : 25;
  const letters = subsequence(entry.name, entry.channel.name, word);
  if (letters === null) return 0;
  for (const position of letters) positions.add(position);
  const spread = letters.at(-1)! - letters[0]! + 1;
  return 5 + (10 * word.length) / spread;
}

/** An occurrence at the start of a part of the name is better than one inside. */
function bestOccurrence(name: string, original: string, word: string): number {
  const first = name.indexOf(word);
  for (let at = first; at >= 0; at = name.indexOf(word, at + 1)) if (isWordStart(original, at)) return at;
  return first;
}

function isWordStart(name: string, at: number): boolean {
  if (at === 0) return true;
  const before = name[at - 1]!;
  const here = name[at]!;
  if (!/[\p{L}\p{N}]/u.test(before)) return true;
  return (/\p{Lu}/u.test(here) && !/\p{Lu}/u.test(before)) || (/\p{N}/u.test(here) && !/\p{N}/u.test(before));
}

/** The letters of `word` in order, the first of them at the start of a part of the name. */
function subsequence(name: string, original: string, word: string): number[] | null {
  for (let start = name.indexOf(word[0]!); start >= 0; start = name.indexOf(word[0]!, start + 1)) {
    if (!isWordStart(original, start)) continue;
    const letters = [start];
    for (let i = 1; i < word.length; i++) {
      const next = name.indexOf(word[i]!, letters.at(-1)! + 1);
      if (next < 0) return null;
      letters.push(next);
    }
    return letters;
  }
  return null;
}
