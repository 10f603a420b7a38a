import {
  Link,
  Outlet,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
  useRouterState,
} from "@tanstack/react-router";
import { SearchX } from "lucide-react";
import { Empty, Rows } from "./design/Surface";
import { PageFailure } from "./design/Failure";
import { SessionProvider } from "./session/SessionProvider";
import { ProjectScope } from "./shell/ProjectScope";
import { Shell } from "./shell/Shell";
import { keepPlaceOverReloads, keepPlaces } from "./shell/places";

/** Pages that a signed-out visitor may open: each by a secret in its own address. */
const OPEN = /^\/(invitations|share)\//;

function Root() {
  const isOpen = useRouterState({ select: (state) => OPEN.test(state.location.pathname) });
  if (isOpen) return <Outlet />;
  return (
    <SessionProvider>
      <Shell />
    </SessionProvider>
  );
}

function NotFound() {
  return (
    <Empty
      icon={<SearchX />}
      title="Page not found"
      action={
        <Link to="/watch" className="text-sm font-medium text-accent hover:underline">
          Go to Watch
        </Link>
      }
    />
  );
}

const root = createRootRoute({ component: Root, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- what the router asks for
    throw redirect({ to: "/watch" });
  },
});
const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  beforeLoad: () => {
    // Without a session the sign-in form is shown before this route is.
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- what the router asks for
    throw redirect({ to: "/watch" });
  },
});
const watch = createRoute({ getParentRoute: () => root, path: "/watch", component: lazyRouteComponent(() => import("./watch/WatchPage"), "WatchPage") });
const inbox = createRoute({ getParentRoute: () => root, path: "/inbox", component: lazyRouteComponent(() => import("./inbox/InboxPage"), "InboxPage") });
const projects = createRoute({
  getParentRoute: () => root,
  path: "/projects",
  component: lazyRouteComponent(() => import("./projects/ProjectsPage"), "ProjectsPage"),
});

function ProjectLayout() {
  const { project } = projectRoute.useParams();
  return (
    <ProjectScope key={project} project={project}>
      <Outlet />
    </ProjectScope>
  );
}
const projectRoute = createRoute({
  getParentRoute: () => root,
  path: "/projects/$project",
  component: ProjectLayout,
});
const projectRuns = createRoute({
  getParentRoute: () => projectRoute,
  path: "/",
  component: lazyRouteComponent(() => import("./projects/ProjectRunsPage"), "ProjectRunsPage"),
});
const board = createRoute({
  getParentRoute: () => projectRoute,
  path: "/board",
  component: lazyRouteComponent(() => import("./board/BoardPage"), "BoardPage"),
});
const projectSettings = createRoute({
  getParentRoute: () => projectRoute,
  path: "/settings",
  component: lazyRouteComponent(() => import("./projects/ProjectSettingsPage"), "ProjectSettingsPage"),
});

const runPage = lazyRouteComponent(() => import("./runs/RunPage"), "RunPage");
const projectRun = createRoute({
  getParentRoute: () => root,
  path: "/projects/$project/runs/$run",
  component: runPage,
});
const compare = createRoute({
  getParentRoute: () => projectRoute,
  path: "/compare",
  component: lazyRouteComponent(() => import("./compare/ComparePage"), "ComparePage"),
});
const timeline = createRoute({
  getParentRoute: () => projectRoute,
  path: "/timeline",
  component: lazyRouteComponent(() => import("./timeline/TimelinePage"), "TimelinePage"),
});
const run = createRoute({ getParentRoute: () => root, path: "/runs/$run", component: runPage });

const adminPages = () => import("./admin/pages");
const runtime = createRoute({
  getParentRoute: () => root,
  path: "/admin/runtime",
  component: lazyRouteComponent(adminPages, "RuntimePage"),
});
const connections = createRoute({
  getParentRoute: () => root,
  path: "/admin/connections",
  component: lazyRouteComponent(adminPages, "ConnectionsPage"),
});
const rejects = createRoute({
  getParentRoute: () => root,
  path: "/admin/rejects",
  component: lazyRouteComponent(adminPages, "RejectsPage"),
});
const users = createRoute({
  getParentRoute: () => root,
  path: "/admin/users",
  component: lazyRouteComponent(adminPages, "UsersPage"),
});
const audit = createRoute({
  getParentRoute: () => root,
  path: "/admin/audit",
  component: lazyRouteComponent(adminPages, "AuditPage"),
});
const account = createRoute({
  getParentRoute: () => root,
  path: "/account",
  component: lazyRouteComponent(() => import("./account/AccountPage"), "AccountPage"),
});
const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitations/$token",
  component: lazyRouteComponent(() => import("./account/InvitationPage"), "InvitationPage"),
});
const share = createRoute({
  getParentRoute: () => root,
  path: "/share/$token",
  component: lazyRouteComponent(() => import("./account/SharePage"), "SharePage"),
});

export const router = createRouter({
  basepath: "/ui",
  defaultPreload: "intent",
  defaultPendingComponent: () => <Rows count={6} />,
  defaultErrorComponent: ({ error, reset }) => <PageFailure error={error as Error} onRetry={reset} />,
  routeTree: root.addChildren([
    home,
    signIn,
    watch,
    inbox,
    projects,
    projectRoute.addChildren([projectRuns, board, projectSettings, compare, timeline]),
    projectRun,
    run,
    runtime,
    connections,
    rejects,
    users,
    audit,
    account,
    invitation,
    share,
  ]),
});
keepPlaces(router);
keepPlaceOverReloads(router);

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
