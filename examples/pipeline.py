"""A pipeline in seven stages that reports as it goes, with or without a server.

    python examples/pipeline.py "top down space shooter"

Watch it with `runcast logs -f RUN`, in the console, or with `tail -f runs/<run>/logs.txt`.
"""

import argparse
import time
import zipfile
from pathlib import Path

from runcast import RunTracker

STAGES = ("constraints", "spec", "design_doc", "assets", "scaffold", "validation", "zip")


def main() -> None:
    arguments = read_arguments()
    with RunTracker(
        arguments.run_id,
        project=arguments.project,
        runs_dir=arguments.runs_dir,
        json_logs=arguments.json_logs,
        name=arguments.prompt,
        steps=STAGES,
        agent_name="GameGenerator",
        input={"prompt": arguments.prompt},
        offline=arguments.offline,
    ) as run:
        print(run.directory, flush=True)
        for stage in (constraints, spec, design_doc, assets, scaffold, validation, package):
            stage(run, arguments.prompt)
            time.sleep(arguments.pause)


def constraints(run: RunTracker, prompt: str) -> None:
    run.emit("constraints", "Resolving constraints …", percent=0)
    run.log(f"the prompt has {len(prompt.split())} words")


def spec(run: RunTracker, prompt: str) -> None:
    run.emit("spec", "Generating game spec …", percent=10)
    title = prompt.title()
    run.artifact("spec", {"title": title, "genre": "top_down_shooter"})
    run.emit("spec", f"Spec ready - title={title} genre=top_down_shooter", percent=20)


def design_doc(run: RunTracker, prompt: str) -> None:
    run.emit("design_doc", "Writing design document …", percent=25)
    run.artifact("design_doc", f"# {prompt}\n\nOne screen, three enemies, one boss.\n")
    run.emit("design_doc", "Design document ready", percent=35)


def assets(run: RunTracker, prompt: str) -> None:
    run.emit("assets", "Drawing assets …", percent=40)
    for number, name in enumerate(("player", "enemy", "background"), 1):
        run.emit("assets", f"Asset {name}", percent=40 + 3 * number, step=number, total_steps=3)
    run.emit("assets", "Assets ready", percent=50)


def scaffold(run: RunTracker, prompt: str) -> None:
    run.emit("scaffold", "Building files …", percent=60)
    run.log("no sound was asked for", level="warning", event_type="decision")
    run.emit("scaffold", "Files ready", percent=75)


def validation(run: RunTracker, prompt: str) -> None:
    run.emit("validation", "Validating …", percent=80)
    run.emit("validation", "Everything runs", percent=90)


def package(run: RunTracker, prompt: str) -> None:
    """Leaves output.zip in the run's directory: it becomes the run's last artifact."""
    run.emit("zip", "Packing …", percent=95)
    if run.directory is not None:
        with zipfile.ZipFile(run.directory / "output.zip", "w") as archive:
            archive.writestr("README.md", f"# {prompt}\n")
    run.emit("zip", "ZIP ready", percent=100)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt", nargs="?", default="top down space shooter")
    parser.add_argument("--run-id")
    parser.add_argument("--project")
    parser.add_argument("--runs-dir", type=Path)
    parser.add_argument("--json-logs", action="store_true")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between stages")
    return parser.parse_args()


if __name__ == "__main__":
    main()
