/** @jsxImportSource react */
/** A page inside a provider, over a server whose answers the test gives. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Http, RuncastClient } from "@runcast/client";
import type { ReactNode } from "react";
import { ProjectEventsProvider } from "../src/index.js";
import { type Exchange, TestServer } from "../../client/test/server.js";

export const EVENTS = "/projects/p/events";

/** Answers by path; what has none waits for the test. */
export type Routes = Record<string, (exchange: Exchange) => void>;

export function page(routes: Routes = {}) {
  const server = new TestServer();
  const answered = new Http({
    baseUrl: server.http.baseUrl,
    fetch: async (input, init) => {
      const { pathname } = new URL(String(input));
      const response = server.fetch(String(input), init ?? {});
      routes[pathname]?.(server.last(pathname));
      return response;
    },
  });
  const client = Object.assign(new RuncastClient(), { http: answered });
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={queries}>
      <ProjectEventsProvider projectId="p" client={client} share={false}>
        {children}
      </ProjectEventsProvider>
    </QueryClientProvider>
  );
  return { server, queries, wrapper, routes };
}

export function json(body: unknown, head?: number): (exchange: Exchange) => void {
  const headers = head === undefined ? {} : { "runcast-head": String(head) };
  return (exchange) => exchange.json(body, 200, headers);
}
