"""Hatchling's hook: what the package says of where it lives.

With ``ORTHOREF_URL``, the address of the repository, in the environment of a build, the project URLs are set and the
links of the README that are relative to the repository are made absolute. Without it neither: no address is made up.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?![a-z]+:|#)([^)\s]+)\)")


class Metadata(MetadataHookInterface):
    """Readme and URLs."""

    def update(self, metadata: dict) -> None:
        """Set them."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        url = os.environ.get("ORTHOREF_URL", "").rstrip("/")
        if url:
            if not url.startswith("https://"):
                raise ValueError(f"ORTHOREF_URL={url!r} is no https:// address")
            metadata["urls"] = {
                "Source": url,
                "Documentation": f"{url}/tree/HEAD/docs",
                "Changelog": f"{url}/blob/HEAD/CHANGELOG.md",
            }
            text = absolute(text, url)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, url: str) -> str:
    """Markdown with its relative links led into the repository; images to the file itself."""
    return LINK.sub(lambda link: f"{link[1]}{link[2]}{url}/{'raw' if link[1] else 'blob'}/HEAD/{link[3]})", text)
