export * from "./cache.js";
export * from "./CombinedEventsProvider.js";
export * from "./hooks.js";
export * from "./ProjectEventsProvider.js";
