import { describe, expect, it } from "vitest";
import { ChannelBuffer } from "../src/buffer/channelBuffer";
import { headingOf } from "../src/panels/TrackMap/drawMap";
import { Fit, Projection, scaleBarMetres } from "../src/panels/TrackMap/projection";
import { Track } from "../src/query/track";

function bufferOf(samples: readonly (readonly [number, number, number?])[]): ChannelBuffer {
  const buffer = new ChannelBuffer(100_000);
  buffer.insert(
    {
      index: 0,
      dt: Uint32Array.from(samples, ([us]) => us),
      last: Float64Array.from(samples, ([, value]) => value),
      minimum: Float64Array.from(samples, ([, value, minimum]) => minimum ?? value),
      maximum: Float64Array.from(samples, ([, value]) => value),
    },
    0,
    1,
  );
  return buffer;
}

const times = [0, 1, 2, 3, 4].map((i) => i * 100_000 + 50_000);
const latitude = bufferOf(times.map((us, i) => [us, 48.9 + i * 1e-4] as const));
const longitude = bufferOf(times.map((us, i) => [us + 3000, 2.2 + i * 1e-4] as const));

function shown(valid: ChannelBuffer | null, track = new Track()): number[] {
  track.fill(latitude, longitude, valid, 0, 1e6);
  return [...track.times.subarray(0, track.n)].map((us) => times.indexOf(us));
}

describe("track", () => {
  it("pairs latitude and longitude", () => expect(shown(null)).toEqual([0, 1, 2, 3, 4]));

  it("never shows an invalid position, also one hidden inside a bucket", () => {
    const track = new Track();
    const valid = bufferOf([[times[0]!, 1], [times[1]!, 0], [times[2]!, 1, 0], [times[3]!, 1], [times[4]!, 1]]);
    expect(shown(valid, track)).toEqual([0, 3, 4]);
    expect([...track.isBroken.subarray(0, 3)]).toEqual([1, 1, 0]);
  });

  it("shows nothing before validity is known", () => {
    expect(shown(bufferOf([]))).toEqual([]);
    expect(shown(bufferOf([[times[2]!, 1]]))).toEqual([2, 3, 4]);
  });

  it("leaves out what is not on the globe", () => {
    const track = new Track();
    track.fill(bufferOf([[1, 0], [200_000, 91], [400_000, NaN], [600_000, 48]]), bufferOf([[1, 0], [200_000, 2], [400_000, 2], [600_000, 2]]), null, 0, 1e6);
    expect(track.n).toBe(1);
  });

  it("knows the heading of the car", () => {
    const track = new Track();
    track.fill(latitude, longitude, null, 0, 1e6);
    const heading = headingOf({ ...track, colours: new Float64Array(0) }, new Projection(48.9, 2.2))!;
    expect(heading).toBeCloseTo(Math.atan2(Math.cos((48.9 * Math.PI) / 180), 1), 3);
  });

  it("a car that stands still has no heading", () => {
    const track = new Track();
    track.fill(bufferOf(times.map((us) => [us, 48.9] as const)), bufferOf(times.map((us) => [us, 2.2] as const)), null, 0, 1e6);
    expect(headingOf({ ...track, colours: new Float64Array(0) }, new Projection(48.9, 2.2))).toBeNull();
  });
});

describe("projection", () => {
  it("has metres, shorter to the east than to the north", () => {
    const projection = new Projection(60, 10);
    expect(projection.north(60.01)).toBeCloseTo(1113.2, 1);
    expect(projection.east(10.01)).toBeCloseTo(556.6, 1);
  });

  it("fits all of the extent, centred", () => {
    const fit = new Fit({ west: -100, east: 100, south: -10, north: 10 }, 240, 300, 20, 10);
    expect(fit.pxPerMetre).toBe(1);
    expect([fit.x(-100), fit.x(100), fit.y(0)]).toEqual([20, 220, 150]);
    expect(fit.y(10)).toBeLessThan(fit.y(-10));
  });

  it("the scale bar has a round length", () => expect([97, 100, 499, 3.2].map(scaleBarMetres)).toEqual([50, 100, 200, 2]));
});
