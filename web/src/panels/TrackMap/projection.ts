/** Equirectangular projection about a latitude: metres east and north of an origin. Good for the few kilometres of a track. */

const METRES_PER_DEGREE = 111_320;

export interface Extent {
  readonly west: number;
  readonly east: number;
  readonly south: number;
  readonly north: number;
}

export class Projection {
  private readonly metresPerDegreeEast: number;

  constructor(
    private readonly latitude: number,
    private readonly longitude: number,
  ) {
    this.metresPerDegreeEast = METRES_PER_DEGREE * Math.cos((latitude * Math.PI) / 180);
  }

  east(longitude: number): number {
    return (longitude - this.longitude) * this.metresPerDegreeEast;
  }

  north(latitude: number): number {
    return (latitude - this.latitude) * METRES_PER_DEGREE;
  }
}

/** Pixels of a canvas that shows all of `extent` (metres), north up, centred, with a margin. */
export class Fit {
  readonly pxPerMetre: number;
  private readonly centreX: number;
  private readonly centreY: number;

  constructor(
    private readonly extent: Extent,
    width: number,
    height: number,
    marginPx: number,
    maxPxPerMetre: number,
  ) {
    const spanX = Math.max(extent.east - extent.west, 1e-9);
    const spanY = Math.max(extent.north - extent.south, 1e-9);
    this.pxPerMetre = Math.min(Math.max(width - 2 * marginPx, 1) / spanX, Math.max(height - 2 * marginPx, 1) / spanY, maxPxPerMetre);
    this.centreX = width / 2;
    this.centreY = height / 2;
  }

  x(east: number): number {
    return this.centreX + (east - (this.extent.west + this.extent.east) / 2) * this.pxPerMetre;
  }

  y(north: number): number {
    return this.centreY - (north - (this.extent.south + this.extent.north) / 2) * this.pxPerMetre;
  }
}

/** The longest of 1, 2, 5 × a power of ten metres that is not longer than `metres`. */
export function scaleBarMetres(metres: number): number {
  const power = 10 ** Math.floor(Math.log10(metres));
  for (const factor of [5, 2, 1]) if (factor * power <= metres) return factor * power;
  return power;
}
