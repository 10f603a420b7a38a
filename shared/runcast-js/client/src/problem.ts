/** An answer other than success, as RFC 9457 has it. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string | null = null,
    readonly type = "about:blank",
    readonly errors: readonly FieldError[] = [],
    /** Seconds that the server asks us to wait, or null. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail ? `${title}: ${detail}` : title);
  }

  static async from(response: Response): Promise<Problem> {
    const body = (await response.json().catch(() => ({}))) as Partial<Body>;
    const wait = Number(response.headers.get("retry-after") ?? NaN);
    return new Problem(
      response.status,
      body.title ?? response.statusText ?? `HTTP ${response.status}`,
      typeof body.detail === "string" ? body.detail : null,
      body.type,
      Array.isArray(body.errors) ? body.errors : [],
      Number.isFinite(wait) ? wait : null,
    );
  }
}

export interface FieldError {
  field?: string;
  loc?: (string | number)[];
  message?: string;
  detail?: string;
}

interface Body {
  type: string;
  title: string;
  detail: unknown;
  errors: FieldError[];
}
