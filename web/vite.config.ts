import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// `npm run dev` shows the page with live reload against a running server (`ved serve`, or dev/fake_server.py).
const server = process.env["VED_SERVER"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // data: URIs for scripts and styles would need a looser content security policy
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: {
      // The server compares Origin with Host, so the proxy speaks as a page of the server itself.
      "/api": { target: server, ws: true, changeOrigin: true, headers: { origin: server } },
      "/signin": { target: server, changeOrigin: true },
      "/healthz": { target: server, changeOrigin: true },
    },
  },
  resolve: process.env["VITEST"] ? { conditions: ["browser"] } : {},
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
