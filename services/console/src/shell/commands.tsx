/** What may be done on the open page, by the palette too: each page says it while it is there. */
import { type ReactNode, createContext, useContext, useEffect, useRef, useState } from "react";

export interface PageCommand {
  /** As its button says it. */
  text: string;
  run: () => void;
}

interface Registry {
  add: (list: () => readonly PageCommand[]) => () => void;
  all: () => readonly PageCommand[];
}

const CommandsContext = createContext<Registry | null>(null);

export function PageCommands({ children }: { children: ReactNode }) {
  const [registry] = useState<Registry>(() => {
    const lists = new Set<() => readonly PageCommand[]>();
    return {
      add: (list) => {
        lists.add(list);
        return () => lists.delete(list);
      },
      all: () => [...lists].flatMap((list) => list()),
    };
  });
  return <CommandsContext.Provider value={registry}>{children}</CommandsContext.Provider>;
}

/** Offers commands in the palette while the component is shown; what is false is left out. */
export function usePageCommands(commands: readonly (PageCommand | false)[]): void {
  const registry = useContext(CommandsContext);
  const current = useRef(commands);
  useEffect(() => {
    current.current = commands;
  });
  useEffect(() => registry?.add(() => current.current.filter((each) => each !== false)), [registry]);
}

/** The open page's commands, as they were when the caller was first shown. */
export function useOpenPageCommands(): readonly PageCommand[] {
  const registry = useContext(CommandsContext);
  const [commands] = useState(() => registry?.all() ?? []);
  return commands;
}
