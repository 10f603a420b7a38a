"""Hooks of the documentation site (mkdocs.yml).

Pages that GitHub wants at the top (SECURITY.md …) and the page of all operations, made from the code, join
the site. Links that leave `docs/` lead to the repository, or become plain text where none is named.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from docs.site import operations
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

from runcast_api import app
from runcast_api.dependencies import Api

ROOT = Path(__file__).parents[2]
TOP = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"(!?)\[((?:[^\]\[]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that don't lie in docs/."""
    document = app.create(cast(Api, None), version("runcast")).openapi()
    made = {
        "reference/operations.md": operations.page(document),
        **{name: (ROOT / name).read_text(encoding="utf-8") for name in TOP},
    }
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """The decisions (docs/adr) at the end of "Inside": one is added without touching mkdocs.yml."""
    inside = next(
        each for each in nav.items if isinstance(each, Section) and each.title == "Inside"
    )
    pages = [each for each in files.documentation_pages() if each.src_uri.startswith("adr/")]
    section = Section("Decisions", [each.page or Page(None, each, config) for each in pages])
    section.parent = inside
    for page in section.children:
        page.parent = section
    inside.children.append(section)
    return nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites links that leave docs/, outside of code blocks."""
    here = Path(page.file.src_uri).parent
    base = "" if page.file.src_uri in TOP else "docs"
    parts = _FENCED.split(markdown)
    parts[::2] = [_LINK.sub(lambda found: _link(found, here, base, config), p) for p in parts[::2]]
    return "".join(parts)


def _link(found: re.Match[str], here: Path, base: str, config: MkDocsConfig) -> str:
    image, text, target = found.groups()
    if target.startswith(("http://", "https://", "#", "mailto:")):
        return found[0]
    path, hash_, anchor = target.partition("#")
    inside = _normal(Path(base) / here / path)
    rest = hash_ + anchor
    if inside.parts[:1] == ("docs",):
        return f"{image}[{text}]({_relative(Path(*inside.parts[1:]), here)}{rest})"
    if str(inside) in TOP:
        return f"{image}[{text}]({_relative(inside, here)}{rest})"
    if str(inside) == "README.md":
        return f"[{text}]({_relative(Path('index.md'), here)})"
    if repository := cast(Any, config).repo_url:
        return f"[{text}]({repository.rstrip('/')}/blob/main/{inside}{rest})"
    return text


def _normal(path: Path) -> Path:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return Path(*parts) if parts else Path()


def _relative(target: Path, here: Path) -> str:
    return "/".join([*[".."] * len(here.parts), *target.parts])
