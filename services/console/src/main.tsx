import * as Tooltip from "@radix-ui/react-tooltip";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Problem } from "@runcast/client";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Toasts } from "./design/Toasts";
import { router } from "./router";
import { SESSION } from "./session/query";
import "./styles.css";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A browser without the Internet may well reach this server.
      networkMode: "always",
      // What the server refuses it will refuse again; what it can't do now it may do soon.
      retry: (failures, error) => !(error instanceof Problem && error.status < 500) && failures < 3,
      refetchOnWindowFocus: false,
    },
    mutations: { networkMode: "always" },
  },
});

// A session that ended anywhere leads to the sign-in page; what was open is there afterwards.
queries.getQueryCache().subscribe(({ query }) => {
  const error: unknown = query.state.error;
  if (error instanceof Problem && error.status === 401) queries.setQueryData(SESSION, null);
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <Tooltip.Provider delayDuration={400}>
          <Toasts>
            <RouterProvider router={router} />
          </Toasts>
        </Tooltip.Provider>
      </QueryClientProvider>
    </StrictMode>,
  );
}
