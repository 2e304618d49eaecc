/// <reference types="vitest/config" />
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `MUSTER_API` names a running API for `npm run dev`; the built console is served by the API itself.
const api = process.env.MUSTER_API ?? "http://127.0.0.1:8420";

export default defineConfig({
  plugins: [react()],
  server: {
    fs: { allow: ["../.."] }, // the message catalogue lies in muster/messages
    proxy: { "/api": { target: api, changeOrigin: true } },
  },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false }, // the content security policy refuses inline scripts
    chunkSizeWarningLimit: 900,
    sourcemap: false,
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
