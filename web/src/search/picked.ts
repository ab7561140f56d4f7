import type { PanelDefinition, Settings } from "../extend/panels";

const listOf = (settings: Settings): readonly unknown[] => (Array.isArray(settings["channels"]) ? settings["channels"] : []);

/** The channels that a panel shows: those it names (of laps they are not watched), and those it watches. */
export function shownIn(definition: PanelDefinition, settings: Settings): ReadonlySet<string> {
  return new Set([...listOf(settings).filter((name) => typeof name === "string"), ...definition.channels(settings, null)]);
}

/** The settings with the channel taken out of the list that it stands in, else with it added; null where it has no room. */
export function toggled(definition: PanelDefinition, settings: Settings, name: string): Settings | null {
  const list = listOf(settings);
  if (list.includes(name)) return { ...settings, channels: list.filter((other) => other !== name) };
  return shownIn(definition, settings).has(name) ? settings : (definition.drop?.(settings, name) ?? null);
}
