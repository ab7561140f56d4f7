import type { ChannelInfo, VehicleSummary } from "../protocol/messages";

/** The vehicle that a newcomer wants to see: one with a link, else the one with the newest data. */
export function mostAlive(vehicles: readonly VehicleSummary[]): VehicleSummary | undefined {
  const rank = (vehicle: VehicleSummary): number => (vehicle.link === "up" ? 0 : 1e15) + (vehicle.age_ms ?? 1e14);
  return [...vehicles].sort((a, b) => rank(a) - rank(b))[0];
}

/** By name; a former name finds its channel as well. */
export function channelsByName(channels: readonly ChannelInfo[]): ReadonlyMap<string, ChannelInfo> {
  const found = new Map(channels.flatMap((channel) => (channel.former ?? []).map((name) => [name, channel] as const)));
  for (const channel of channels) found.set(channel.name, channel);
  return found;
}
