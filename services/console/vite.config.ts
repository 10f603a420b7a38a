import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { constants, brotliCompressSync, gzipSync } from "node:zlib";
import { type Plugin, defineConfig } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The page may load and reach its own origin only; no inline script or style runs. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
].join("; ");

/** Stands in the page itself, so that it holds wherever the build is served from. */
const contentSecurityPolicy: Plugin = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
      injectTo: "head-prepend",
    },
  ],
};

/** Compressed once, here, so that the server only has to choose which bytes to send. */
const precompressed: Plugin = {
  name: "precompressed",
  apply: "build",
  closeBundle: async () => {
    const assets = here("../api/runcast_api/console/assets");
    for (const name of await readdir(assets)) {
      if (!/\.(js|css|svg|json)$/.test(name)) continue;
      const bytes = await readFile(`${assets}/${name}`);
      if (bytes.length < 1_024) continue;
      const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
      await writeFile(`${assets}/${name}.br`, brotliCompressSync(bytes, { params }));
      await writeFile(`${assets}/${name}.gz`, gzipSync(bytes, { level: 9 }));
    }
  },
};

export default defineConfig({
  root: here("."),
  base: "/ui/",
  plugins: [react({ jsxImportSource: "#shown" }), tailwind(), contentSecurityPolicy, precompressed],
  resolve: {
    conditions: ["source", "module", "browser", "development|production"],
    alias: { "react-remove-scroll": here("src/design/RemoveScroll.tsx") },
  },
  build: {
    outDir: here("../api/runcast_api/console"),
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      "^/(?!ui/)": { target: process.env["RUNCAST_URL"] ?? "http://localhost:8000" },
    },
  },
});
