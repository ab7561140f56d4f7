import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: true,
    // The property `telemetry` is one object for the life of the page: reading it once is right.
    warningFilter: (warning) => warning.code !== "state_referenced_locally",
  },
};
