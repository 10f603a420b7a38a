import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Problem } from "@runcast/client";
import { useEffect } from "react";
import { Failure } from "../design/Failure";
import { Rows } from "../design/Surface";
import { Door } from "../session/SignIn";
import { SESSION } from "../session/query";
import { setToken, whoAmI } from "../session/session";

/** A share link: for this tab, its token is who one is, and leads to what it shows. */
export function SharePage() {
  const { token } = useParams({ from: "/share/$token" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const shared = useQuery({
    queryKey: ["share", token],
    queryFn: async () => {
      setToken(token);
      const me = await whoAmI();
      if (!me) {
        setToken(null);
        throw new Problem(404, "This link has expired or was revoked");
      }
      return me;
    },
    retry: false,
  });
  useEffect(() => {
    const me = shared.data;
    if (!me) return;
    queries.setQueryData(SESSION, me);
    if (me.runId) void navigate({ to: "/runs/$run", params: { run: me.runId }, replace: true });
    else if (me.projectId) {
      void navigate({ to: "/projects/$project", params: { project: me.projectId }, replace: true });
    }
  }, [shared.data, queries, navigate]);
  if (shared.error) {
    return (
      <Door title="Shared with you">
        {shared.error instanceof Problem && shared.error.status === 404 ? (
          <p role="alert" className="text-sm text-muted">
            {shared.error.title}. Ask the person who sent it for a new one.
          </p>
        ) : (
          <Failure error={shared.error} />
        )}
      </Door>
    );
  }
  return <Rows count={4} />;
}
