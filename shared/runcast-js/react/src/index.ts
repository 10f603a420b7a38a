export * from "./cache.js";
export * from "./hooks.js";
export * from "./ProjectEventsProvider.js";
