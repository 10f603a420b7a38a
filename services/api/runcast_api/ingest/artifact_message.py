"""The data of `artifact:created`, as those who have no HTTP send it."""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from runcast_api.artifacts.store import INLINE_BYTES, Stored
from runcast_api.http.fields import Name
from runcast_api.ingest.messages import Refused


class ArtifactMessage(BaseModel):
    """`content` (JSON), `content_base64`, or the `object_key` under which the sender has put it."""

    model_config = ConfigDict(extra="ignore")

    step_name: Name
    artifact_id: UUID | None = None
    media_type: Name | None = None
    filename: Name | None = None
    content: Any = None
    content_base64: str | None = None
    object_key: Name | None = None
    size: Annotated[int, Field(ge=0)] = 0
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = "0" * 64

    def stored(self, project_id: UUID) -> Stored | None:
        """The content, or where it lies; None where it comes another way. Raises `Refused`."""
        if self.object_key is not None:
            if not self.object_key.startswith(f"{project_id}/") or ".." in self.object_key:
                raise Refused("object_key is not one of this project")
            return Stored(self.size, self.sha256, None, self.object_key)
        content = self._bytes()
        if content is None:
            return None
        if len(content) > INLINE_BYTES:
            raise Refused(f"the content is larger than {INLINE_BYTES:,} bytes")
        return Stored(len(content), hashlib.sha256(content).hexdigest(), content, None)

    def _bytes(self) -> bytes | None:
        if self.content_base64 is not None:
            try:
                return base64.b64decode(self.content_base64, validate=True)
            except ValueError as error:
                raise Refused("content_base64 can't be decoded") from error
        return orjson.dumps(self.content) if "content" in self.model_fields_set else None
