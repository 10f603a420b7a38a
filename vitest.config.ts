import { defineConfig } from "vitest/config";

const conditions = ["source"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: "client",
          environment: "node",
          include: ["shared/runcast-js/client/test/**/*.test.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "react",
          environment: "jsdom",
          include: ["shared/runcast-js/react/test/**/*.test.{ts,tsx}"],
        },
      },
      {
        extends: true,
        test: {
          name: "console",
          environment: "jsdom",
          include: ["services/console/src/**/*.test.{ts,tsx}", "services/console/test/*.test.js"],
        },
      },
    ],
  },
});
