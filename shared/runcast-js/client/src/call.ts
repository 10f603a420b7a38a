/**
 * Every endpoint of the API by its method and path as `/docs` shows them, typed by the server's own description:
 * names of parameters, bodies and answers are checked when your program is compiled.
 */
import type { paths } from "./generated/openapi.js";
import type { Query, RequestOptions } from "./http.js";
import { segment } from "./names.js";

export type Method = "get" | "post" | "put" | "patch" | "delete";
export type Path = keyof paths;
/** The methods that a path takes. */
export type MethodOf<P extends Path> = {
  [M in Method]: Operation<P, M> extends never ? never : M;
}[Method];

type Operation<P extends Path, M extends Method> = M extends keyof paths[P] ? Exclude<paths[P][M], undefined> : never;
type Parameters<O, Place extends string> = O extends { parameters: Partial<Record<Place, infer T>> }
  ? Exclude<T, undefined>
  : never;
type Json<C> = C extends { content: infer Content }
  ? Content extends { "application/json": infer T }
    ? T
    : Content extends { "multipart/form-data": unknown }
      ? FormData
      : unknown
  : never;
type Body<O> = O extends { requestBody?: infer B } ? Json<Exclude<B, undefined>> : never;
type Member<Name extends string, T> = [T] extends [never]
  ? Partial<Record<Name, never>>
  : Partial<T> extends T
    ? Partial<Record<Name, T>>
    : Record<Name, T>;

/** What a call takes: `path`, `query` and `body` where the endpoint has them. */
export type CallOptions<P extends Path, M extends Method> = Member<"path", Parameters<Operation<P, M>, "path">> &
  Member<"query", Parameters<Operation<P, M>, "query">> &
  Member<"body", Body<Operation<P, M>>> & { signal?: AbortSignal };

type Success = 200 | 201 | 202;
/** What a call answers; null where there is no content. */
export type CallAnswer<P extends Path, M extends Method> =
  Operation<P, M> extends { responses: infer R } ? (Success & keyof R extends never ? null : Json<R[Success & keyof R]>) : never;

/** A call's place and what `Http` takes of it. Throws `TypeError` where a part of the path is missing. */
export function requestOf(
  path: string,
  options: { path?: unknown; query?: unknown; body?: unknown; signal?: AbortSignal },
): [string, RequestOptions] {
  const parts = (options.path ?? {}) as Record<string, string | number>;
  const filled = path.replace(/\{([^}]+)\}/g, (_, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new TypeError(`${path} needs "${name}"`);
    return segment(String(part));
  });
  const request: RequestOptions = { signal: options.signal };
  if (options.query) request.query = options.query as Query;
  if (options.body !== undefined) request.body = options.body;
  return [filled, request];
}
