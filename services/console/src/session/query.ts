/** The query key of who is signed in. */
export const SESSION = ["session"] as const;
