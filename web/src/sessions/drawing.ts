/** A latitude and a longitude, in degrees. */
export type Place = readonly [latitude: number, longitude: number];
type Point = readonly [x: number, y: number];

/** How places lie in a picture: north up, as wide as high on the ground. */
export interface Box {
  readonly west: number;
  readonly north: number;
  /** Picture units per degree of longitude and of latitude. */
  readonly perEast: number;
  readonly perNorth: number;
  readonly margin: number;
}

const MARGIN = 24;

/** The box that holds all places in a picture of this size; of no place, one that holds nothing. */
export function boxOf(places: readonly Place[], width: number, height: number): Box {
  const norths = places.map((place) => place[0]);
  const easts = places.map((place) => place[1]);
  const [south, north] = places.length > 0 ? [Math.min(...norths), Math.max(...norths)] : [0, 1];
  const [west, east] = places.length > 0 ? [Math.min(...easts), Math.max(...easts)] : [0, 1];
  const narrow = Math.cos((((north + south) / 2) * Math.PI) / 180);
  const perNorth = Math.min((width - 2 * MARGIN) / Math.max((east - west) * narrow, 1e-6), (height - 2 * MARGIN) / Math.max(north - south, 1e-6));
  return { west, north, perEast: perNorth * narrow, perNorth, margin: MARGIN };
}

export const pointOf = ([latitude, longitude]: Place, box: Box): Point => [
  box.margin + (longitude - box.west) * box.perEast,
  box.margin + (box.north - latitude) * box.perNorth,
];

export const placeOf = ([x, y]: Point, box: Box): Place => [box.north - (y - box.margin) / box.perNorth, box.west + (x - box.margin) / box.perEast];
