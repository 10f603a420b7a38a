import {
  ArrowDownToLine,
  ChevronDown,
  ChevronUp,
  CircleAlert,
  Copy,
  Download,
  Link2,
  Regex,
  Search,
  Settings2,
  WrapText,
} from "lucide-react";
import type { LineFilter, SearchState } from "@runcast/client";
import { useState } from "react";
import { IconButton } from "../design/Button";
import { Input, Select } from "../design/Field";
import { Menu, MenuCheck, MenuChoice, MenuItem, MenuLine } from "../design/Menu";
import { cx } from "../design/classes";
import { count } from "../design/format";
import type { LineRange } from "./permalink";
import type { LogPreferences } from "./preferences";
import type { LogActions } from "./useLogActions";
import type { LogSearch } from "./useLogSearch";

/** Chosen to name an agent that isn't among those seen; no agent's name holds a newline. */
const ANOTHER = "\n";
const LEVELS = ["debug", "info", "warning", "error", "critical"];

interface LogToolbarProps {
  agents: readonly string[];
  filter: LineFilter;
  onFilter: (filter: LineFilter) => void;
  onlyMatches: boolean;
  onOnlyMatches: (only: boolean) => void;
  search: LogSearch;
  lastLine: number;
  preferences: LogPreferences;
  onPreferences: (change: Partial<LogPreferences>) => void;
  range: LineRange | null;
  following: boolean;
  /** The run has ended: there is an end to go to, and nothing to follow. */
  isOver: boolean;
  onFollow: () => void;
  onNextError: () => void;
  actions: LogActions;
  isFiltered: boolean;
}

export function LogToolbar(props: LogToolbarProps) {
  const { filter, onFilter, preferences, onPreferences } = props;
  const [isNaming, setNaming] = useState(false);
  return (
    <div role="toolbar" aria-label="Log tools" className="flex flex-wrap items-center gap-x-2 gap-y-1.5 border-b px-3 py-2">
      <SearchField {...props} />
      <Select
        size="sm"
        aria-label="Level"
        className="w-auto!"
        value={filter.level}
        onChange={(event) => onFilter({ ...filter, level: event.target.value })}
      >
        <option value="">All levels</option>
        {LEVELS.map((level) => (
          <option key={level} value={level}>
            {level}
          </option>
        ))}
      </Select>
      {isNaming ? (
        <Input
          size="sm"
          autoFocus
          aria-label="Agent's name"
          placeholder="Agent's name, Enter"
          className="w-40"
          onBlur={() => setNaming(false)}
          onKeyDown={(event) => {
            if (event.key === "Enter") onFilter({ ...filter, agent: event.currentTarget.value.trim() });
            if (event.key === "Enter" || event.key === "Escape") setNaming(false);
          }}
        />
      ) : (
        <Select
          size="sm"
          aria-label="Agent"
          className="w-auto! max-w-40"
          value={filter.agent}
          onChange={({ target }) =>
            target.value === ANOTHER ? setNaming(true) : onFilter({ ...filter, agent: target.value })
          }
        >
          <option value="">All agents</option>
          {[...new Set([...props.agents, filter.agent])].filter(Boolean).map((agent) => (
            <option key={agent} value={agent}>
              {agent}
            </option>
          ))}
          <option value={ANOTHER}>Another agent…</option>
        </Select>
      )}
      <div className="ml-auto flex items-center gap-0.5">
        <IconButton
          size="sm"
          label="Next error"
          shortcut="e"
          icon={<CircleAlert />}
          onClick={props.onNextError}
        />
        <IconButton
          size="sm"
          label={followText(props)}
          shortcut="f"
          {...(props.isOver ? {} : { pressed: props.following })}
          icon={<ArrowDownToLine />}
          onClick={props.onFollow}
        />
        <IconButton
          size="sm"
          label="Wrap long lines"
          pressed={preferences.wrap}
          icon={<WrapText />}
          onClick={() => onPreferences({ wrap: !preferences.wrap })}
        />
        <IconButton
          size="sm"
          label={props.range ? "Copy the selected lines" : "Copy the log"}
          icon={<Copy />}
          onClick={props.actions.copy}
        />
        {props.range && (
          <IconButton
            size="sm"
            label="Copy a link to these lines"
            icon={<Link2 />}
            onClick={props.actions.copyLink}
          />
        )}
        <Menu
          trigger={
            <button
              type="button"
              aria-label="Display and download"
              className="inline-flex size-7 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-fg [&_svg]:size-4"
            >
              <Settings2 />
            </button>
          }
        >
          <MenuChoice
            label="Times"
            value={preferences.time}
            onChange={(time) => onPreferences({ time })}
            options={[
              ["local", "Local time"],
              ["utc", "UTC"],
              ["elapsed", "Elapsed"],
              ["hidden", "Hidden"],
            ]}
          />
          <MenuLine />
          <MenuChoice
            label="Lines"
            value={preferences.format}
            onChange={(format) => onPreferences({ format })}
            options={[
              ["text", "Rendered"],
              ["raw", "Raw"],
              ["json", "JSON"],
            ]}
          />
          <MenuLine />
          <MenuCheck checked={preferences.wrap} onChange={(wrap) => onPreferences({ wrap })}>
            Wrap long lines
          </MenuCheck>
          <MenuCheck checked={preferences.folds} onChange={(folds) => onPreferences({ folds })}>
            Fold traces, groups and tool results
          </MenuCheck>
          <MenuLine />
          <MenuItem icon={<Download />} onSelect={() => props.actions.download("all")}>
            Download the whole log
          </MenuItem>
          <MenuItem
            icon={<Download />}
            disabled={!props.isFiltered}
            onSelect={() => props.actions.download("view")}
          >
            Download filtered lines
          </MenuItem>
        </Menu>
      </div>
    </div>
  );
}

function followText({ isOver, following }: LogToolbarProps): string {
  if (isOver) return "Go to the end";
  return following ? "Stop following" : "Follow the newest lines";
}

function SearchField({ filter, onFilter, onlyMatches, onOnlyMatches, search, lastLine }: LogToolbarProps) {
  const isSearching = filter.q !== "";
  return (
    <div className="flex min-w-0 flex-1 basis-64 flex-wrap items-center gap-1.5">
      <Input
        size="sm"
        type="search"
        aria-label="Search the log"
        placeholder="Search the log  /"
        data-shortcut="search"
        icon={<Search />}
        className="min-w-36 flex-1 basis-36 sm:max-w-72"
        value={filter.q}
        onChange={(event) => onFilter({ ...filter, q: event.target.value })}
        onKeyDown={(event) => {
          if (event.key === "Enter") search.step(event.shiftKey ? -1 : 1);
          else if (event.key === "Escape") onFilter({ ...filter, q: "" });
        }}
      />
      <IconButton
        size="sm"
        label="Regular expression"
        pressed={filter.regex}
        icon={<Regex />}
        onClick={() => onFilter({ ...filter, regex: !filter.regex })}
      />
      {isSearching && (
        <>
          <IconButton size="sm" label="Previous match" shortcut="N" icon={<ChevronUp />} onClick={() => search.step(-1)} />
          <IconButton size="sm" label="Next match" shortcut="n" icon={<ChevronDown />} onClick={() => search.step(1)} />
          <label className="flex items-center gap-1.5 text-xs whitespace-nowrap text-muted">
            <input
              type="checkbox"
              checked={onlyMatches}
              onChange={(event) => onOnlyMatches(event.target.checked)}
            />
            Only matches
          </label>
          <output
            aria-live="polite"
            className={cx("nums text-xs whitespace-nowrap", search.state.error ? "text-bad" : "text-muted")}
          >
            {searchText(search.state, search.match, lastLine)}
          </output>
        </>
      )}
    </div>
  );
}

function searchText(search: SearchState, match: number | null, lastLine: number): string {
  if (search.error) return search.error.message;
  const found =
    match === null
      ? `${count(search.matches)} ${search.matches === 1 ? "match" : "matches"}`
      : `${count(match + 1)} of ${count(search.matches)}`;
  if (search.isDone && search.searchedTo < lastLine && search.matches > 0) {
    return `${found} up to line ${count(search.searchedTo)}`;
  }
  if (search.isDone) return search.matches === 0 ? "No matches" : found;
  if (search.searchedTo === 0) return search.matches > 0 ? found : "Searching…";
  const share = lastLine > 0 ? Math.floor((100 * search.searchedTo) / lastLine) : 0;
  return `${found} · searched up to line ${count(search.searchedTo)} (${share}%)`;
}
