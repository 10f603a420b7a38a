import type { components } from "@runcast/client";

/** An answer or a body of the API by its name, as generated from the server's own description. */
export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];
