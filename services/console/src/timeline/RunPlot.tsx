import { useNavigate } from "@tanstack/react-router";
import { ZoomIn, ZoomOut } from "lucide-react";
import { type KeyboardEvent, type PointerEvent, useEffect, useMemo, useRef, useState } from "react";
import { Button, IconButton } from "../design/Button";
import { toneOf, wordOf } from "../design/Status";
import { Card } from "../design/Surface";
import { duration } from "../design/format";
import { nameOf } from "../runs/names";
import { type PlottedRun, type Span, barsIn, ticksIn, zoomed } from "./plot";

const LANE_PX = 16;
const AXIS_PX = 24;
const MAX_LANES = 40;
/** A run that was over at once is still this wide. */
const LEAST_PX = 3;

const FILLS = {
  live: "var(--color-live)",
  ok: "var(--color-ok)",
  warn: "var(--color-warn)",
  bad: "var(--color-bad)",
  idle: "var(--color-control)",
  plan: "var(--color-plan)",
  accent: "var(--color-accent)",
};

interface RunPlotProps {
  runs: readonly PlottedRun[];
  /** All that there is to see. */
  whole: Span;
  slug: string;
}

/** Runs as bars over time, coloured by status. The wheel and + and - zoom, dragging chooses a part. */
export function RunPlot({ runs, whole, slug }: RunPlotProps) {
  const navigate = useNavigate();
  const host = useRef<HTMLDivElement>(null);
  const width = useWidth(host);
  // While it is whole the span follows the present.
  const [chosen, setChosen] = useState<Span | null>(null);
  const span = chosen ?? whole;
  const [drag, setDrag] = useState<Span | null>(null);
  const length = span[1] - span[0];
  const gap = (length / width) * (LEAST_PX + 1);
  const bars = useMemo(() => barsIn(runs, span, whole[1], gap), [runs, span, whole, gap]);
  const lanes = Math.max(4, Math.min(MAX_LANES, 1 + Math.max(0, ...bars.map(({ lane }) => lane))));
  const height = lanes * LANE_PX + AXIS_PX;
  const x = (at: number): number => ((at - span[0]) / length) * width;
  const shareAt = (clientX: number): number => (clientX - (host.current?.getBoundingClientRect().left ?? 0)) / width;
  const zoom = (share: number, factor: number): void => {
    const next = zoomed(span, share, factor, whole);
    setChosen(next[1] - next[0] >= whole[1] - whole[0] ? null : next);
  };
  useWheel(host, (event) => zoom(shareAt(event.clientX), event.deltaY > 0 ? 1.25 : 0.8));
  const onKey = (event: KeyboardEvent): void => {
    const shift = { ArrowLeft: -0.2, ArrowRight: 0.2 }[event.key];
    if (event.key === "+" || event.key === "=") zoom(0.5, 0.5);
    else if (event.key === "-") zoom(0.5, 2);
    else if (shift !== undefined && chosen) setChosen(moved(chosen, shift * length, whole));
    else return;
    event.preventDefault();
  };
  const onUp = (): void => {
    if (drag && Math.abs(x(drag[1]) - x(drag[0])) > 6) {
      const [from, to] = [Math.min(...drag), Math.max(...drag)];
      if (to - from >= 1_000) setChosen([from, to]);
    }
    setDrag(null);
  };
  const atOf = (event: PointerEvent): number => span[0] + shareAt(event.clientX) * length;
  const hidden = bars.filter(({ lane }) => lane >= MAX_LANES).length;
  return (
    <Card className="overflow-hidden">
      <div className="flex items-center gap-1 border-b px-3 py-1.5">
        <p className="nums min-w-0 flex-1 truncate text-xs text-muted">
          {dateText(span[0])} – {dateText(span[1])}
          {hidden > 0 && ` · ${hidden} more at the same time`}
        </p>
        <IconButton size="sm" label="Zoom in" icon={<ZoomIn />} onClick={() => zoom(0.5, 0.5)} />
        <IconButton size="sm" label="Zoom out" icon={<ZoomOut />} onClick={() => zoom(0.5, 2)} />
        <Button size="sm" disabled={chosen === null} onClick={() => setChosen(null)}>
          Reset
        </Button>
      </div>
      <div
        ref={host}
        tabIndex={0}
        role="group"
        aria-label={`Timeline of ${bars.length} runs; + and - zoom, arrow keys move`}
        onKeyDown={onKey}
        onPointerDown={(event) => event.button === 0 && setDrag([atOf(event), atOf(event)])}
        onPointerMove={(event) => drag && setDrag([drag[0], atOf(event)])}
        onPointerUp={onUp}
        onPointerLeave={() => setDrag(null)}
        className="touch-pan-y select-none -outline-offset-2"
      >
        <svg width={width} height={height} className="block">
          {ticksIn(span, Math.max(2, Math.floor(width / 110))).map((at) => (
            <g key={at}>
              <line x1={x(at)} x2={x(at)} y1={0} y2={height - AXIS_PX} stroke="var(--color-line)" />
              <text x={x(at) + 4} y={height - 8} fontSize={11} fill="var(--color-muted)">
                {tickText(at, length)}
              </text>
            </g>
          ))}
          {bars.slice(0, 2_000).map(({ run, from, to, lane }) =>
            lane >= MAX_LANES ? null : (
              <a
                key={run.id}
                href={`/ui/projects/${slug}/runs/${run.number}`}
                aria-label={`${nameOf(run)}, ${wordOf(run.status)}, ${duration(to - from)}`}
                onClick={(event) => {
                  if (event.metaKey || event.ctrlKey) return;
                  event.preventDefault();
                  void navigate({ to: "/projects/$project/runs/$run", params: { project: slug, run: String(run.number) } });
                }}
              >
                <title>{`${nameOf(run)} #${run.number}\n${wordOf(run.status)} · ${duration(to - from)}\n${dateText(from)}`}</title>
                <rect
                  x={x(from)}
                  y={lane * LANE_PX + 2}
                  width={Math.max(LEAST_PX, x(to) - x(from))}
                  height={LANE_PX - 4}
                  rx={2}
                  fill={FILLS[toneOf(run.status)]}
                  className="hover:brightness-125"
                />
              </a>
            ),
          )}
          {drag && (
            <rect
              x={x(Math.min(...drag))}
              width={Math.abs(x(drag[1]) - x(drag[0]))}
              y={0}
              height={height - AXIS_PX}
              fill="var(--color-accent)"
              opacity={0.15}
            />
          )}
        </svg>
      </div>
    </Card>
  );
}

function moved([from, to]: Span, by: number, whole: Span): Span {
  const shift = Math.min(Math.max(by, whole[0] - from), whole[1] - to);
  return [from + shift, to + shift];
}

const dateText = (at: number): string =>
  new Date(at).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

function tickText(at: number, length: number): string {
  const date = new Date(at);
  if (length > 3 * 86_400_000) return date.toLocaleDateString(undefined, { month: "short", day: "numeric" });
  return date.toLocaleTimeString(undefined, { timeStyle: length < 600_000 ? "medium" : "short" });
}

function useWidth(host: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(800);
  useEffect(() => {
    if (!host.current) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(100, entry?.contentRect.width ?? 800)));
    observer.observe(host.current);
    return () => observer.disconnect();
  }, [host]);
  return width;
}

/** The wheel zooms where Ctrl is held or the plot has the focus; else it scrolls the page. */
function useWheel(host: React.RefObject<HTMLElement | null>, onZoom: (event: WheelEvent) => void): void {
  const current = useRef(onZoom);
  useEffect(() => {
    current.current = onZoom;
  });
  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const listen = (event: WheelEvent): void => {
      if (!event.ctrlKey && document.activeElement !== element) return;
      event.preventDefault();
      current.current(event);
    };
    element.addEventListener("wheel", listen, { passive: false });
    return () => element.removeEventListener("wheel", listen);
  }, [host]);
}
